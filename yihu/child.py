"""One supervised process: started, watched from outside, restarted with growing pauses.

Only the supervisor's main thread calls :meth:`Child.tick`; the probe and the output each have a thread of their own,
so that a silent process holds up nobody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from yihu.runstate import Identity, identify

PAUSES = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)  # seconds before the 1st, 2nd … restart in a row
STEADY_SECONDS = 60.0  # after so long alive, the next failure counts as the first again
STOP_SECONDS = 10.0  # from being asked to end to being killed
Say = Callable[[str, str], None]  # name, line


@dataclass(frozen=True)
class Spec:
    """What a process is and how its health shows. Times are in seconds."""

    name: str
    argv: tuple[str, ...]
    probe: Callable[[], bool]
    probe_every: float = 5.0
    failures: int = 3  # so many failed probes in a row, once it was ready, and it is restarted
    start_seconds: float = 60.0  # to the first good probe
    outlives_us: bool = False  # keeps running when the supervisor is killed, and is taken over by the next one
    output: Path | None = None  # where its output goes; None: into the journal
    beat: Path | None = None  # its heartbeat: removed at each start, so that no old one counts
    stop_seconds: float = STOP_SECONDS


@dataclass
class Child:
    """State: ``waiting`` (its turn has not come), ``starting``, ``ready``, ``unwell``, ``paused`` (before a restart),
    ``stopping``, ``stopped``."""

    spec: Spec
    env: Mapping[str, str]
    say: Say
    state: str = "waiting"
    restarts: int = 0
    since: float = field(default_factory=time.time)
    identity: Identity | None = None
    was_ready: bool = False
    _process: subprocess.Popen[bytes] | None = None
    _row: int = 0  # failures in a row
    _next_start: float = 0.0
    _started: float = 0.0
    _kill_at: float | None = None
    _bad: int = 0
    _good: bool = False
    _asked: bool = False  # its end was asked for by a person
    _probed: threading.Event = field(default_factory=threading.Event)
    _quit: threading.Event = field(default_factory=threading.Event)

    # -- life ---------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start it. A program that cannot be started at all counts as one that ended at once."""
        self._begin("starting")
        if self.spec.beat is not None:
            self.spec.beat.unlink(missing_ok=True)
        try:
            if self.spec.output is None:
                self._process = subprocess.Popen(
                    self.spec.argv,
                    env=dict(self.env),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # Ctrl-C at the terminal is for the supervisor, which ends us in order
                )
            else:
                with self.spec.output.open("wb") as output:
                    self._process = subprocess.Popen(
                        self.spec.argv,
                        env=dict(self.env),
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
        except OSError as exc:
            self._process = None
            self._ended(f"cannot be started: {exc}")
            return
        self.identity = identify(self._process.pid)
        if self.spec.output is None:
            threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        self._watch()

    def adopt(self, identity: Identity) -> None:
        """Take over a process that is already running."""
        self._begin("starting")
        self.identity = identity
        self._watch()

    def stop(self) -> None:
        """Ask it to end; :meth:`tick` kills it when it does not."""
        if self.state in ("stopping", "stopped"):
            return
        if not self._running():
            self._set("stopped")
            return
        self._set("stopping")
        self._kill_at = time.monotonic() + self.spec.stop_seconds
        self._signal(signal.SIGTERM)

    def restart(self) -> None:
        """End it; it comes back at once and this does not count as a failure."""
        self._row, self._asked = 0, True
        if self._running():
            self._kill_at = time.monotonic() + self.spec.stop_seconds
            self._signal(signal.SIGTERM)
            self._set("unwell")

    def tick(self) -> None:
        """Look at it once and do what is due."""
        now = time.monotonic()
        if self.state in ("waiting", "stopped"):
            return
        if self.state == "paused":
            if now >= self._next_start:
                self.start()
            return
        if not self._running():
            self._ended(self._how())
            return
        if self._kill_at is not None:
            if now >= self._kill_at:
                self.say("yihu", f"{self.spec.name} does not end; killed")
                self._signal(signal.SIGKILL)
                self._kill_at = now + STOP_SECONDS
            return
        if self._probed.is_set():
            self._judge()
        elif self.state == "starting" and now - self._started > self.spec.start_seconds:
            self._replace(f"not ready after {self.spec.start_seconds:.0f} s")

    def wait_gone(self, seconds: float) -> bool:
        """Tick until it has ended (only after :meth:`stop`); False if it has not within ``seconds``."""
        deadline = time.monotonic() + seconds
        while self.state != "stopped" and time.monotonic() < deadline:
            self.tick()
            time.sleep(0.05)
        return self.state == "stopped"

    def describe(self) -> dict[str, Any]:
        """Its line in ``status --json``."""
        alive = self.identity is not None and self.state not in ("paused", "stopped", "waiting")
        return {
            "name": self.spec.name,
            "state": self.state,
            "ready": self.state == "ready",
            "pid": self.identity.pid if alive and self.identity else None,
            "since": datetime.fromtimestamp(self.since, UTC).isoformat(timespec="seconds"),
            "restarts": self.restarts,
        }

    # -- inside -------------------------------------------------------------------------------------------
    def _begin(self, state: str) -> None:
        self._quit.set()  # of the probe thread of the life before
        self._quit, self._probed = threading.Event(), threading.Event()
        self._good, self._bad, self._kill_at = False, 0, None
        self._process, self.identity = None, None
        self._started = time.monotonic()
        self._set(state)

    def _set(self, state: str) -> None:
        if state != self.state:
            self.state, self.since = state, time.time()

    def _has_been_ready(self) -> bool:
        return self.state in ("ready", "unwell")

    def _watch(self) -> None:
        threading.Thread(target=self._probe, args=(self._quit, self._probed), daemon=True).start()

    def _probe(self, quit_: threading.Event, probed: threading.Event) -> None:
        while not quit_.is_set():
            good = self.spec.probe()
            if quit_.is_set():
                return
            if good or self._has_been_ready():
                self._good = good
                self._bad = 0 if good else self._bad + 1
                probed.set()
            quit_.wait(self.spec.probe_every if self._has_been_ready() else 0.2)

    def _judge(self) -> None:
        self._probed.clear()
        if self._good:
            if self.state != "ready":
                self.say("yihu", f"{self.spec.name} is ready ({time.monotonic() - self._started:.1f} s)")
            self.was_ready = True
            self._set("ready")
        elif self.state in ("ready", "unwell"):
            self._set("unwell")
            if self._bad >= self.spec.failures:
                self._replace(f"did not answer {self._bad} times")

    def _replace(self, why: str) -> None:
        self.say("yihu", f"{self.spec.name} {why}; it is restarted")
        # A process that hangs may not heed SIGTERM: it gets little time, since callers are waiting.
        self._kill_at = time.monotonic() + min(3.0, self.spec.stop_seconds)
        self._signal(signal.SIGTERM)
        self._signal(signal.SIGCONT)

    def _ended(self, how: str) -> None:
        self._quit.set()
        if self.state == "stopping":
            self._set("stopped")
            return
        if time.monotonic() - self._started > STEADY_SECONDS:
            self._row = 0
        pause = 0.0 if self._asked else PAUSES[min(self._row, len(PAUSES) - 1)]
        self._row += not self._asked
        self._asked = False
        self.restarts += 1
        self.say("yihu", f"{self.spec.name} {how}; restarting in {pause:g} s")
        self._next_start = time.monotonic() + pause
        self._set("paused")

    def _running(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self.identity is not None and self.identity.alive()

    def _how(self) -> str:
        code = self._process.returncode if self._process is not None else None
        if code is None:
            return "ended"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
        elif self.identity is not None:
            self.identity.send(number)

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as stream:
            for raw in stream:
                line = raw.decode("utf-8", "replace").rstrip()
                if line:
                    self.say(self.spec.name, line)


def children_environment(home: Path, repo: Path) -> dict[str, str]:
    """Environment of our own processes: they work on this home and end with this process."""
    return {
        **os.environ,
        "YIHU_HOME": str(home),
        "YIHU_SUPERVISOR": str(os.getpid()),
        "PYTHONPATH": str(repo),
        "PYTHONUNBUFFERED": "1",
    }
