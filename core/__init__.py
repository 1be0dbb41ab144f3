"""The foundation every room stands on: settings, database, clock, errors, events. Imports nothing of ours."""
