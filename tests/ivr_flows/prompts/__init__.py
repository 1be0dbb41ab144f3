"""Catalogue, reading, audio, making and finding of prompts."""
