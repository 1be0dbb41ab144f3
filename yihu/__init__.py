"""The program: composition root, command line, supervisor, installer, doctor, demo."""
