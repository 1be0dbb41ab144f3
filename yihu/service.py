"""What `bin/yihu up`, `down`, `status`, `restart` and `logs` do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from core.errors import NotFound, Unavailable
from core.settings import REPO, Settings
from yihu import ports
from yihu.asterisk_config import fingerprint
from yihu.child import children_environment
from yihu.debian import locked
from yihu.journal import Journal, coloured
from yihu.prepare import Preparation, Prepared
from yihu.runstate import Identity, RunState
from yihu.supervisor import NAMES, Supervisor, running_asterisk, stop_orphan
from yihu.tail import follow

READY_SECONDS = 180.0  # `up --detach` waits so long for everything to be ready
LEFTOVER_SECONDS = 20.0  # processes of a supervisor that was killed need a moment to end
LOG_LINES = 15
Echo = Callable[[str], None]


@dataclass
class Service:
    """The commands on one home. ``echo`` prints a line for a person."""

    settings: Settings
    echo: Echo

    @property
    def state(self) -> RunState:
        return RunState(self.settings)

    @property
    def log_file(self) -> Path:
        return self.settings.log_dir / "yihu.log"

    # -- up ------------------------------------------------------------------------------------------------
    def up(self, *, detach: bool, demo: bool) -> bool:
        """Prepare, then run: in the background until ready, or in the foreground until told to end.

        True when all is well (also when it was running already). Raises SettingsError or Unavailable with the fix.
        """
        started = time.monotonic()
        if self._already_running():
            return True
        preparation = Preparation(self.settings, self.echo)
        self.echo(f"preparing {self.settings.home}")
        preparation.folders()
        with locked(self.settings.run_dir / "up.lock", self.echo):
            if self._already_running():
                return True
            prepared = preparation.run(demo=demo)
            self._settle_asterisk()
            self._wait_for_ports()
            if detach:
                return self._in_background(prepared, started)
            lock = self.state.take_lock()
        if lock is None:
            return self._already_running()
        with lock:
            self._supervise(sys.stdout, lambda: self._tell_ready(prepared, started))
        return True

    def supervise(self) -> bool:
        """The background half of ``up --detach``. False when another supervisor is there."""
        lock = self.state.take_lock()
        if lock is None:
            return False
        with lock:
            self._supervise(None, None)
        return True

    def _supervise(self, stream: Any, on_ready: Callable[[], None] | None) -> None:
        journal = Journal(self.log_file, stream)
        try:
            Supervisor(self.settings, self.state, journal).run(on_ready)
        finally:
            journal.close()

    def _already_running(self) -> bool:
        supervisor = self.state.supervisor()
        if supervisor is None and not self.state.supervised():
            return False
        where = f"process {supervisor.pid}" if supervisor else "just starting"
        self.echo(f"already running in {self.settings.home} ({where}); see `bin/yihu status`")
        return True

    def _settle_asterisk(self) -> None:
        """An Asterisk that outlived its supervisor is taken over, unless its configuration is not the present one."""
        identity = running_asterisk(self.settings)
        if identity is None:
            return
        try:
            had = (self.settings.run_dir / "asterisk.fingerprint").read_text("ascii")
        except OSError:
            had = ""
        if had != fingerprint(self.settings):
            self.echo("the running Asterisk has another configuration: it is stopped first")
            stop_orphan(self.settings, identity, self.echo)

    def _wait_for_ports(self) -> None:
        ours = ["asterisk"] if running_asterisk(self.settings) else []
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while ports.taken(self.settings, ours) and self._leftovers() and time.monotonic() < deadline:
            time.sleep(0.5)
        ports.check(self.settings, ours)

    def _leftovers(self) -> bool:
        """Processes of the last supervisor of this home that are still ending."""
        lines = self.state.read().get("processes", [])
        return any(self._alive(line) for line in lines if line.get("name") != "asterisk")

    @staticmethod
    def _alive(line: dict[str, Any]) -> bool:
        pid = line.get("pid")
        return isinstance(pid, int) and Path(f"/proc/{pid}").exists()

    def _in_background(self, prepared: Prepared, started: float) -> bool:
        output = self.settings.log_dir / "supervisor.out"
        with output.open("ab") as out:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "yihu", "supervise"],
                env={**children_environment(self.settings.home, REPO), "YIHU_SUPERVISOR": ""},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        shown: set[str] = set()
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            time.sleep(0.1)
            if process.poll() is not None:
                raise Unavailable(
                    f"the supervisor ended with code {process.returncode}: {_last(output)}", fix=f"see {output}"
                )
            state = self.state.read()
            if state.get("pid") != process.pid:
                continue
            for line in state["processes"]:
                if line["ready"] and line["name"] not in shown:
                    shown.add(line["name"])
                    self.echo(f"  {click.style('✓', fg='green')} {line['name']:<14} ready")
            if state["ready"]:
                self._tell_ready(prepared, started)
                return True
        missing = [line["name"] for line in self.state.read().get("processes", []) if not line["ready"]]
        self.echo(f"not ready after {READY_SECONDS:.0f} s: {', '.join(missing)}; the last lines of {self.log_file}:")
        self.logs((), LOG_LINES, go_on=False)
        return False

    def _tell_ready(self, prepared: Prepared, started: float) -> None:
        settings = self.settings
        self.echo(click.style(f"ready after {time.monotonic() - started:.1f} s", fg="green", bold=True))
        self.echo(f"  open   {settings.web_url}")
        self.echo(f"  dial   bin/yihu call        (or any SIP phone at {settings.trunk_address}: {sip_url(settings)})")
        for note in prepared.notes:
            self.echo(f"  {note}")

    # -- down ----------------------------------------------------------------------------------------------
    def down(self, *, now: bool) -> None:
        """Stop in order; returns when everything has ended. Raises Unavailable when it does not."""
        supervisor = self.state.supervisor()
        if supervisor is None:
            orphan = running_asterisk(self.settings)
            if orphan is None:
                self.echo(f"not running in {self.settings.home}")
                return
            self.echo("Asterisk runs without a supervisor: stopping it")
            stop_orphan(
                self.settings.model_copy(update={"drain_seconds": 0.0}) if now else self.settings, orphan, self.echo
            )
            return
        supervisor.send(signal.SIGQUIT if now else signal.SIGTERM)
        self._wait_down(supervisor)
        self.echo("stopped")

    def _wait_down(self, supervisor: Identity) -> None:
        deadline = time.monotonic() + self.settings.drain_seconds + 120.0
        told: tuple[Any, ...] = ()
        while self.state.supervised() and supervisor.alive():
            if time.monotonic() > deadline:
                raise Unavailable("it does not stop", fix=f"see {self.log_file}; `bin/yihu down --now` does not wait")
            state = self.state.read()
            fresh = (state.get("phase"), state.get("live_channels"))
            if fresh != told and fresh[0] == "draining" and fresh[1]:
                self.echo(f"waiting for {fresh[1]} live channels ({self.settings.drain_seconds:g} s at most)")
            told = fresh
            time.sleep(0.1)

    # -- status --------------------------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        """What ``status --json`` prints."""
        settings = self.settings
        state = self.state.read()
        alive = self.state.supervisor() is not None
        processes = state.get("processes", []) if alive else [_stopped(name) for name in NAMES]
        orphan = None if alive else running_asterisk(settings)
        if orphan is not None:
            processes[0] = {**processes[0], "state": "unsupervised", "pid": orphan.pid}
        return {
            "ready": alive and bool(state.get("ready")),
            "phase": state.get("phase", "stopped") if alive else "stopped",
            "home": str(settings.home),
            "supervisor": state.get("pid") if alive else None,
            "processes": processes,
            "urls": {"web": settings.web_url, "phones": settings.phone_ws_url, "trunk": sip_url(settings)},
            "ports": {
                **{name: settings.port(name) for name in ports.USES},
                "rtp_first": settings.port("rtp_first"),
                "rtp_last": settings.port("rtp_last"),
            },
        }

    def show_status(self) -> bool:
        """Print the status for people; True when everything is ready."""
        status = self.status()
        colours = {"ready": "green", "paused": "red", "unwell": "red", "stopped": None}
        self.echo(f"{status['home']}: {status['phase']}")
        for line in status["processes"]:
            colour = colours.get(line["state"], "yellow")
            extra = f"process {line['pid']}, since {line['since']}" if line["pid"] else ""
            again = f", {line['restarts']} restarts" if line["restarts"] else ""
            self.echo(f"  {line['name']:<10} {click.style(format(line['state'], '<12'), fg=colour)} {extra}{again}")
        if status["ready"]:
            self.echo(f"  web {status['urls']['web']}   trunk {status['urls']['trunk']}")
        return bool(status["ready"])

    # -- restart, logs ---------------------------------------------------------------------------------------
    def restart(self, name: str) -> None:
        """Ask the supervisor to restart one process. Raises NotFound when nothing runs."""
        if self.state.supervisor() is None:
            raise NotFound(f"nothing runs in {self.settings.home}", fix="`bin/yihu up` starts it")
        self.state.request_restart(name)
        self.echo(f"{name} is being restarted; see `bin/yihu logs`")

    def logs(self, names: Sequence[str], lines: int, *, go_on: bool) -> None:
        """Print the last ``lines`` lines (of the processes ``names``, or of all), then go on if asked to."""
        wanted = set(names)
        last: deque[str] = deque(maxlen=lines)
        older = self.log_file.with_name(self.log_file.name + ".1")
        for path in (older, self.log_file):
            if path.is_file():
                with path.open(encoding="utf-8", errors="replace") as handle:
                    last.extend(line.rstrip("\n") for line in handle if _of(line, wanted))
        for line in last:
            self.echo(coloured(line))
        if go_on:
            for line in follow(self.log_file, threading.Event()):
                if _of(line, wanted):
                    self.echo(coloured(line))


def _of(line: str, names: set[str]) -> bool:
    return not names or line.split(" ", 2)[1:2] in [[name] for name in names]


def _stopped(name: str) -> dict[str, Any]:
    return {"name": name, "state": "stopped", "ready": False, "pid": None, "since": None, "restarts": 0}


def _last(path: Path) -> str:
    return " / ".join(path.read_text("utf-8", "replace").strip().splitlines()[-3:])


def sip_url(settings: Settings) -> str:
    """Where trunk calls go."""
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    return f"sip:{settings.hotline_number}@{host}:{settings.port('sip_port')}"


def end_with_supervisor() -> None:
    """In a supervised process: end when the supervisor does, however it ends."""
    import ctypes

    parent = os.environ.get("YIHU_SUPERVISOR", "")
    if not parent:
        return
    pr_set_pdeathsig = 1
    ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, int(signal.SIGTERM), 0, 0, 0)
    if os.getppid() != int(parent):  # it ended before we could ask
        sys.exit(0)
