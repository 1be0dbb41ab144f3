"""Rate limits."""

from __future__ import annotations

from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

from web.deps import deps

limiter = Limiter(get_remote_address, storage_uri="memory://", strategy="fixed-window")


def login_rate() -> str:
    """Log-in attempts per address, from the settings."""
    return deps().settings.login_rate
