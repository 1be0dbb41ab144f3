"""The Flask ticket app: desk, calls, tickets, API. Never imports agi."""
