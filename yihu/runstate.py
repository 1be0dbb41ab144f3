"""What is running in a home: the supervisor's lock, its state file, and processes told apart from strangers.

The lock (flock) says whether a supervisor lives; no stale file can pretend. A process is named by its id *and* its
start time, so that an id used again by somebody else is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from core.settings import Settings

RUN_MODE = 0o700


@dataclass(frozen=True)
class Identity:
    """A process: its id and when it was started (seconds since the epoch, as the kernel tells)."""

    pid: int
    started: float

    def alive(self) -> bool:
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def send(self, number: signal.Signals) -> bool:
        """Signal it; False when it is gone (a stranger with its id is left alone)."""
        if not self.alive():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True


def identify(pid: int) -> Identity | None:
    """The process that has this id now; None when there is none."""
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else Identity(pid, process.create_time())
    except psutil.Error:
        return None


class RunState:
    """Files in HOME/run."""

    def __init__(self, settings: Settings) -> None:
        self.folder = settings.run_dir
        self.state_file = self.folder / "state.json"
        self.lock_file = self.folder / "supervisor.lock"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=RUN_MODE)

    # -- the supervisor's lock --------------------------------------------------------------------------
    def take_lock(self) -> IO[str] | None:
        """The lock, held as long as the file stays open; None when another supervisor has it."""
        self.prepare()
        handle = self.lock_file.open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle

    def supervised(self) -> bool:
        """Does a supervisor live in this home?"""
        if not self.lock_file.exists():
            return False
        with self.lock_file.open("r") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    # -- its state --------------------------------------------------------------------------------------
    def write(self, state: dict[str, Any]) -> None:
        draft = self.folder / f".state.{os.getpid()}"
        draft.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n", "utf-8")
        draft.replace(self.state_file)

    def read(self) -> dict[str, Any]:
        """The last state written; empty when there is none."""
        try:
            state = json.loads(self.state_file.read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def supervisor(self) -> Identity | None:
        """The living supervisor's process, else None."""
        state = self.read()
        if not self.supervised() or "pid" not in state:
            return None
        identity = Identity(int(state["pid"]), float(state["pid_started"]))
        return identity if identity.alive() else None

    # -- requests to a living supervisor ------------------------------------------------------------------
    def request_restart(self, name: str) -> None:
        (self.folder / f"restart-{name}").touch()

    def take_requests(self) -> list[str]:
        """Names of processes whose restart was asked for since the last look."""
        names = []
        for path in sorted(self.folder.glob("restart-*")):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
                names.append(path.name.removeprefix("restart-"))
        return names


def read_pid(path: Path) -> int | None:
    """The number in a pid file; None when there is no such file or it holds none."""
    try:
        return int(path.read_text("ascii").strip())
    except (OSError, ValueError):
        return None
