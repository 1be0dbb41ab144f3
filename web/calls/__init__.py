"""Calls: list and page."""
