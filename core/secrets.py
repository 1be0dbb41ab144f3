"""Secrets made at set-up: random, one file each, readable by their owner alone."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

NAMES = ("ami", "web", "records", "demo")


def secret(home: Path, name: str) -> str:
    """The secret ``name`` of this home, made on first use (43 URL-safe characters)."""
    if name not in NAMES:
        raise KeyError(name)
    folder = home / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / name
    if not path.exists():
        draft = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
            handle.write(secrets.token_urlsafe(32))
        try:
            os.link(draft, path)  # whole or not at all: of two processes starting together, the first wins
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text("ascii").strip()
