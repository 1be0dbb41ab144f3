"""Which data folder a command works on when none was named: the one place that decides it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from core.settings import REPO
from yihu.run_user import open_to_all

SYSTEM_HOMES = Path("/var/lib/yihu")


def default_home(repo: Path = REPO, *, root: bool | None = None) -> Path:
    """``var/`` in the checkout; for root ``/var/lib/yihu/<name>`` when the checkout is closed to other users.

    Asterisk runs as another user than root, who must be able to reach the home. The name carries a hash of the
    checkout's path, so that two checkouts of the same name do not share a home.
    """
    as_root = os.geteuid() == 0 if root is None else root
    if not as_root or open_to_all(repo):
        return repo / "var"
    digest = hashlib.sha256(str(repo).encode()).hexdigest()[:8]
    return SYSTEM_HOMES / f"{repo.name}-{digest}"


def choose() -> tuple[Path, str]:
    """The home for this command, and a line to tell when it is not where one would look for it (else empty)."""
    given = os.environ.get("YIHU_HOME")
    if given:
        return Path(given).expanduser().resolve(), ""
    home = default_home()
    if home == REPO / "var":
        return home, ""
    return home, f"data folder: {home} (Asterisk's user cannot reach {REPO}; YIHU_HOME overrides this)"
