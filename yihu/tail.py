"""Follows a log file that another program writes and rotates."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

POLL_SECONDS = 0.25


def follow(path: Path, stop: threading.Event, *, from_end: bool = True) -> Iterator[str]:
    """Whole lines as they are written, until ``stop`` is set; goes on in the new file after a rotation."""
    handle: IO[str] | None = None
    part = ""
    try:
        while True:
            if handle is None and path.exists():
                handle = path.open("r", encoding="utf-8", errors="replace")
                if from_end:
                    handle.seek(0, os.SEEK_END)
            from_end = False  # a file that appears later is new from its beginning
            if handle is not None:
                for piece in handle:
                    part += piece
                    if part.endswith("\n"):
                        yield part.rstrip("\n")
                        part = ""
                if _replaced(path, handle):
                    handle.close()
                    handle = None
                    continue
            if stop.is_set():
                return
            stop.wait(POLL_SECONDS)
    finally:
        if handle is not None:
            handle.close()


def _replaced(path: Path, handle: IO[str]) -> bool:
    try:
        now, then = path.stat(), os.fstat(handle.fileno())
    except FileNotFoundError:
        return False  # between the two steps of a rotation
    return now.st_ino != then.st_ino or now.st_size < handle.tell()


class Tail:
    """Hands each new line of ``path`` to ``take``, in a thread."""

    def __init__(self, path: Path, take: Callable[[str], None]) -> None:
        self.path, self.take = path, take
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(2.0)

    def _run(self) -> None:
        for line in follow(self.path, self._stop):
            self.take(line)
