"""Jinja templates of Asterisk's own files; data only."""
