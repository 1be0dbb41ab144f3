"""One process of the SIP library, as :class:`yihu.softphone.SoftPhone` sees it: commands in, events out."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import Unavailable

CAPACITY = 4  # calls and registered phones that one process of the library is built for
START_SECONDS = 30.0
STOP_SECONDS = 15.0
REPO = Path(__file__).resolve().parent.parent


class LibraryProcess:
    """Runs :mod:`yihu.softphone_worker`. ``on_event`` is called in a thread of this object; ``on_end`` when it died."""

    def __init__(
        self, address: str, log: Path, on_event: Callable[[dict[str, Any]], None], on_end: Callable[[], None]
    ) -> None:
        self._on_event, self._on_end, self._log = on_event, on_end, log
        self._writing = threading.Lock()
        self._ready = threading.Event()
        self.address = address
        self.contact = ""  # host:port where it can be called
        self.busy: set[str] = set()  # calls and phones it has; kept by the owner
        with log.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "yihu.softphone_worker", address, str(CAPACITY)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=REPO,
                start_new_session=True,  # Ctrl-C is for us: we hang up in order
            )
        self._reader = threading.Thread(target=self._read, daemon=True, name="softphone")
        self._reader.start()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def kill(self) -> None:
        """Take it away in the middle of its calls, as a power cut would."""
        self._process.kill()

    def wait_ready(self) -> None:
        """Raises Unavailable when the library does not start (for instance, no such address)."""
        self._ready.wait(START_SECONDS)
        if not self.alive or not self._ready.is_set():
            raise Unavailable(f"the telephone at {self.address} did not start: {self.log_tail()}")

    def log_tail(self) -> str:
        """The last lines of what the process has printed."""
        return " | ".join(self._log.read_text("utf-8", "replace").strip().splitlines()[-3:])

    def send(self, what: str, ident: str, **data: Any) -> None:
        """Send a command. Raises Unavailable when the process has died."""
        line = json.dumps({"do": what, "id": ident, **data}) + "\n"
        pipe = self._process.stdin
        assert pipe is not None
        try:
            with self._writing:
                pipe.write(line.encode())
                pipe.flush()
        except (OSError, ValueError) as exc:
            raise Unavailable(f"the telephone has died: {self.log_tail()}") from exc

    def quit(self) -> None:
        """Ask it to hang up every call and end; see :meth:`join`."""
        with contextlib.suppress(Unavailable):
            self.send("quit", "")

    def join(self) -> int:
        """Wait for its end after :meth:`quit` (it is killed if that takes too long); returns its exit code."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        return self._process.returncode

    def _read(self) -> None:
        pipe = self._process.stdout
        assert pipe is not None
        for line in pipe:
            event = json.loads(line)
            if event["event"] == "ready":
                self.contact = event["contact"]
                self._ready.set()
            else:
                self._on_event(event)
        self._process.wait()
        self._ready.set()
        self._on_end()
