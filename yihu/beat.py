"""Heartbeat of a process that listens on no port: a file touched every few seconds, which the supervisor looks at."""

from __future__ import annotations

import os
from pathlib import Path

EVERY_SECONDS = 3.0
STALE_SECONDS = 15.0


class Beat:
    """Touches ``run_dir/NAME.beat``; :meth:`beat` is called by the process's own loop, so that a hung loop shows."""

    def __init__(self, run_dir: Path, name: str) -> None:
        run_dir.mkdir(parents=True, exist_ok=True)
        self.path = run_dir / f"{name}.beat"

    def beat(self) -> None:
        self.path.touch()
        os.utime(self.path)
