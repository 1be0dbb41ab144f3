"""Runs the processes of a home in order, keeps them running, and ends them so that live calls can finish.

Killed outright (SIGKILL), the supervisor takes its Python processes with it, but Asterisk keeps the calls that are
up, under its own dialplan; the next supervisor takes that Asterisk over.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any

import psutil

from core.errors import Unavailable
from core.settings import REPO, Settings
from yihu import probes
from yihu.asterisk_config import base_dir, config_file, fingerprint
from yihu.child import Child, Spec, children_environment
from yihu.journal import Journal
from yihu.manager_socket import Manager, live_calls, set_closed
from yihu.runstate import Identity, RunState, identify, read_pid
from yihu.tail import Tail

NAMES = ("asterisk", "agi", "link", "worker", "web")
# Asterisk first: it ends what calls are left, and the call programs then close their ledgers. The web app last: it
# takes the records of those calls.
STOP_ORDER = ("asterisk", "agi", "link", "worker", "web")
TICK_SECONDS = 0.1
TURN_SECONDS = 30.0  # a process whose predecessor is not ready by then is started all the same
COUNT_EVERY = 0.5  # seconds between two looks at how many calls are left
LAST_RECORDS_SECONDS = 3.0  # the worker may push the records of the last calls


def specs(settings: Settings) -> list[Spec]:
    """The processes of a home, in the order of their start."""
    python = (sys.executable, "-P", "-m", "yihu", "run")

    def beating(name: str) -> Spec:
        path = settings.run_dir / f"{name}.beat"
        return Spec(name, (*python, name), partial(probes.beat, path), beat=path)

    return [
        Spec(
            "asterisk",
            (*python, "asterisk"),
            probes.AsteriskProbe(settings),
            failures=6,  # it carries calls: half a minute of silence before it is given up
            outlives_us=True,
            output=settings.log_dir / "asterisk-console.log",
            stop_seconds=20.0,
        ),
        Spec("agi", (*python, "agi"), partial(probes.agi, settings), probe_every=2.0),
        beating("link"),
        beating("worker"),
        Spec("web", (*python, "web"), partial(probes.web, settings), failures=6),
    ]


def running_asterisk(settings: Settings) -> Identity | None:
    """The Asterisk of this home that runs now, whoever started it."""
    pid = read_pid(base_dir(settings) / "run" / "asterisk.pid")
    identity = identify(pid) if pid is not None else None
    if identity is None:
        return None
    try:
        ours = str(config_file(settings)) in psutil.Process(identity.pid).cmdline()
    except psutil.Error:
        return None
    return identity if ours else None


class Supervisor:
    """``run`` returns when everything has been stopped. Signals: TERM, INT: stop in order; a second one, or QUIT: at
    once."""

    def __init__(
        self, settings: Settings, state: RunState, journal: Journal, children: Sequence[Spec] | None = None
    ) -> None:
        self.settings, self.state, self.journal = settings, state, journal
        env = children_environment(settings.home, REPO)
        chosen = specs(settings) if children is None else list(children)
        self.children = [Child(spec, env, journal.write) for spec in chosen]
        self.phase = "starting"
        self.calls: int | None = None
        self._turn_since = time.monotonic()
        self._stops = 0
        self._written: dict[str, Any] = {}
        self._me = identify(os.getpid())

    # -- running -------------------------------------------------------------------------------------------
    def run(self, on_ready: Callable[[], None] | None = None) -> None:
        """Start everything and stay until told to stop. ``on_ready`` is called once, when all are ready."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, self._on_signal)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._say(f"supervisor {os.getpid()} for {self.settings.home}")
        tail = Tail(base_dir(self.settings) / "log" / "messages", partial(self.journal.write, "asterisk"))
        tail.start()
        try:
            while not self._stops:
                self._advance()
                if self.phase == "starting" and self.ready:
                    self.phase = "running"
                    if on_ready is not None:
                        on_ready()
                self._publish()
                time.sleep(TICK_SECONDS)
            self._drain()
            self._stop_all()
        finally:
            tail.stop()
            self._kill_rest()
            self.phase = "stopped"
            self._publish()
            self._say("supervisor ends")

    @property
    def ready(self) -> bool:
        return all(child.state == "ready" for child in self.children)

    def child(self, name: str) -> Child | None:
        return next((child for child in self.children if child.spec.name == name), None)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self._stops += 2 if number == signal.SIGQUIT else 1

    def _say(self, text: str) -> None:
        self.journal.write("yihu", text)

    def _advance(self) -> None:
        for name in self.state.take_requests():
            child = self.child(name)
            if child is not None and child.state not in ("waiting", "stopping", "stopped"):
                self._say(f"{name} is restarted on request")
                child.restart()
        self._give_turns()
        for child in self.children:
            child.tick()

    def _give_turns(self) -> None:
        """Start the next process when the one before it is ready (or has had its time)."""
        now = time.monotonic()
        waiting = next((index for index, child in enumerate(self.children) if child.state == "waiting"), None)
        if waiting is None:
            return
        before = self.children[waiting - 1] if waiting else None
        if before is not None and not before.was_ready and now - self._turn_since < TURN_SECONDS:
            return
        self._turn_since = now
        child = self.children[waiting]
        if child.spec.name == "asterisk" and self._take_over(child):
            return
        if child.spec.name == "asterisk":
            (self.state.folder / "asterisk.fingerprint").write_text(fingerprint(self.settings), "ascii")
        child.start()

    def _take_over(self, child: Child) -> bool:
        identity = running_asterisk(self.settings)
        if identity is None:
            return False
        self._say(f"Asterisk is already running (process {identity.pid}): taken over with its calls")
        child.adopt(identity)
        try:
            with Manager(self.settings) as manager:
                set_closed(manager, False)
        except Unavailable as exc:
            self._say(f"it does not answer yet: {exc.detail}")
        return True

    # -- stopping ------------------------------------------------------------------------------------------
    def _drain(self) -> None:
        """Refuse new calls and wait until those that are up have ended, ``drain_seconds`` at most."""
        self.phase = "draining"
        asterisk = self.child("asterisk")
        if asterisk is None or asterisk.state not in ("ready", "unwell"):
            return
        deadline = time.monotonic() + self.settings.drain_seconds
        looked = told = -1e9
        while self._stops < 2:
            self._advance()
            now = time.monotonic()
            if now - looked >= COUNT_EVERY:
                looked = now
                self.calls = close_and_count(self.settings)
                if not self.calls:
                    break
                if now - told >= 5.0:
                    told = now
                    self._say(f"waiting for {self.calls} live channels, {max(0.0, deadline - now):.0f} s at most")
            if now >= deadline:
                self._say(f"time is up: {self.calls} channels are ended")
                break
            self._publish()
            time.sleep(TICK_SECONDS)

    def _stop_all(self) -> None:
        self.phase = "stopping"
        had_calls = bool(self.calls)
        by_name = {child.spec.name: child for child in self.children}
        names = [name for name in STOP_ORDER if name in by_name]
        names += [name for name in by_name if name not in STOP_ORDER]
        for child in self.children:
            if child.state in ("waiting", "paused"):
                child.stop()
        for name in names:
            if name == "worker" and had_calls and self._stops < 2:
                time.sleep(LAST_RECORDS_SECONDS)
            self._say(f"stopping {name}")
            by_name[name].stop()
            self._publish()
            # Killed by the tick when it does not end by itself; then a little for the kernel.
            by_name[name].wait_gone(by_name[name].spec.stop_seconds + 5.0)
            self._publish()

    def _kill_rest(self) -> None:
        for child in self.children:
            if child.identity is not None and child.identity.alive() and not child.spec.outlives_us:
                child.identity.send(signal.SIGKILL)

    # -- telling -------------------------------------------------------------------------------------------
    def describe(self) -> dict[str, Any]:
        """The state file's content."""
        return {
            "pid": os.getpid(),
            "pid_started": self._me.started if self._me else 0.0,
            "phase": self.phase,
            "ready": self.ready,
            "live_channels": self.calls,
            "processes": [child.describe() for child in self.children],
        }

    def _publish(self) -> None:
        now = self.describe()
        if now != self._written:
            self.state.write(now)
            self._written = now


def close_and_count(settings: Settings) -> int | None:
    """Refuse new calls and count those that are left; None when Asterisk does not answer (then it has none)."""
    try:
        with Manager(settings) as manager:
            set_closed(manager, True)
            return live_calls(manager)
    except Unavailable:
        return None


def stop_orphan(settings: Settings, identity: Identity, progress: Callable[[str], None]) -> None:
    """Stop an Asterisk that has no supervisor: let its calls end, ``drain_seconds`` at most."""
    deadline = time.monotonic() + settings.drain_seconds
    pause = threading.Event()
    told = -1e9
    while (calls := close_and_count(settings)) and time.monotonic() < deadline:
        if time.monotonic() - told > 5.0:
            told = time.monotonic()
            progress(f"waiting for {calls} live channels, {deadline - told:.0f} s at most")
        pause.wait(COUNT_EVERY)
    identity.send(signal.SIGTERM)
    give_up = time.monotonic() + 20.0
    while identity.alive() and time.monotonic() < give_up:
        pause.wait(0.1)
    identity.send(signal.SIGKILL)
