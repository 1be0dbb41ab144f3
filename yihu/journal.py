"""One log for all processes: HOME/log/yihu.log, and the same lines in colours on the terminal.

A line of the file: ``2026-03-02T04:00:00.123Z NAME  what the process said``. What our processes say is JSON and
stays as it is.
"""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import click

ROTATE_BYTES = 20_000_000
KEPT = 5  # older files yihu.log.1 … .5
LONGEST_LINE = 64_000
NAME_WIDTH = 10
COLOURS = {
    "yihu": "white",
    "asterisk": "magenta",
    "agi": "cyan",
    "link": "blue",
    "worker": "green",
    "web": "yellow",
}
LEVELS = {"warning": "yellow", "error": "red", "critical": "red", "WARNING": "yellow", "ERROR": "red"}
_HIDDEN = {"event", "level", "timestamp", "process", "logger"}


class Journal:
    """Writes the log file and, when given, a stream for people. Safe to use from several threads."""

    def __init__(self, path: Path, stream: IO[str] | None = None, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        self.path, self.stream, self.rotate_bytes = path, stream, rotate_bytes
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._file = path.open("a", encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        """Log one line that the process ``name`` said."""
        now = datetime.now(UTC)
        stamp = now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03d}Z"
        line = f"{stamp} {name:<{NAME_WIDTH}} {text[:LONGEST_LINE]}"
        with self._lock:
            self._file.write(line + "\n")
            self._file.flush()
            if self._file.tell() > self.rotate_bytes:
                self._rotate()
            if self.stream is not None:
                click.echo(coloured(line), file=self.stream)

    def _rotate(self) -> None:
        self._file.close()
        for number in range(KEPT, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            newer = self.path.with_name(f"{self.path.name}.{number - 1}") if number > 1 else self.path
            if newer.exists():
                newer.replace(older)
        self._file = self.path.open("a", encoding="utf-8")

    def close(self) -> None:
        with self._lock:
            self._file.close()


def coloured(line: str) -> str:
    """A line of the log file for a terminal (click takes the colours out where there is none)."""
    stamp, _, rest = line.partition(" ")
    name, said = rest[:NAME_WIDTH].rstrip(), rest[NAME_WIDTH + 1 :]
    text, level = said, next((word for word in ("ERROR", "WARNING") if f"{word}[" in said), "")
    if said.startswith("{"):
        try:
            record = json.loads(said)
        except ValueError:
            record = None
        if isinstance(record, dict) and "event" in record:
            level = str(record.get("level", ""))
            extra = " ".join(f"{key}={value}" for key, value in record.items() if key not in _HIDDEN)
            text = f"{record['event']} {extra}".rstrip()
    who = click.style(f"{name:<{NAME_WIDTH}}", fg=COLOURS.get(name, "white"), bold=True)
    return f"{click.style(stamp[11:23], dim=True)} {who} {click.style(text, fg=LEVELS.get(level))}"
