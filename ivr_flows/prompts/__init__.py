"""What callers hear: the catalogue of texts, the speech made of it, and the store that finds the files."""
