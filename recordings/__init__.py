"""What was said: capture, store, playback. Imports core and routing."""
