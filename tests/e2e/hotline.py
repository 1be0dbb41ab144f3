"""A complete system in a home of its own, and looking into it."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import psutil
from sqlalchemy import select

from agi.ami import AmiClient
from agi.control import AmiCallControl
from agi.phones import PLAIN
from core.policy import Policy
from core.secrets import secret
from core.settings import PORT_FIELDS, REPO, Settings, load
from recordings.models import Recording
from routing.ledger import Kind
from routing.models import Call, CallEvent
from yihu.asterisk_config import AMI_USER
from yihu.compose import Parts, build
from yihu.homes import default_home
from yihu.softphone import PhoneCall, SoftPhone

T = TypeVar("T")
TRUNK, SEATS = "127.0.0.2", "127.0.0.3"
SHIFTS = range(2000, 40000, 1000)  # a home uses ports up to RTP's 1000, so steps of 1000 do not overlap
LONG = 40.0  # seconds to wait for what should come at once: two shared cores can be slow
UP_SECONDS = 300.0


def until(condition: Callable[[], T], seconds: float = LONG, what: str = "") -> T:
    """Wait until ``condition`` gives something true, and return that; fails saying ``what`` was waited for."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what or condition}; last seen: {value!r}")
        time.sleep(0.1)


def tools_folder() -> Path:
    """Where downloaded tools are (YIHU_TEST_TOOLS, set by `bin/yihu test`)."""
    return Path(os.environ.get("YIHU_TEST_TOOLS") or default_home() / "tools")


def free_shift() -> int:
    """A ``port_shift`` at which every port is free (another run of the tests may be going on)."""
    for shift in SHIFTS:
        try:
            for name in PORT_FIELDS:
                kind = socket.SOCK_DGRAM if name in ("sip_port", "rtp_first") else socket.SOCK_STREAM
                with socket.socket(socket.AF_INET, kind) as tried:
                    tried.bind(("127.0.0.1", int(Settings.model_fields[name].default) + shift))
        except OSError:
            continue
        return shift
    raise AssertionError("no ports are free")


class Hotline:
    """One home, with ports of its own."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home, self.shift = home, free_shift()
        own = {"YIHU_HOME": str(home), "YIHU_PORT_SHIFT": str(self.shift), "YIHU_TOOLS": str(tools_folder())}
        kept = {key: value for key, value in os.environ.items() if not key.startswith("YIHU_")}
        self.env = {**kept, **own, "YIHU_DRAIN_SECONDS": "3", **settings, "PYTHONPATH": str(REPO)}
        self._numbers = itertools.count(1)

    # -- commands ------------------------------------------------------------------------------------------

    def yihu(self, *words: str, seconds: float = UP_SECONDS, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run ``bin/yihu WORDS`` on this home (without the script's look at the Python environment)."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "yihu", *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            cwd="/",
            stdin=subprocess.DEVNULL,
        )
        assert not check or done.returncode == 0, f"yihu {words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def up(self, *flags: str) -> str:
        return self.yihu("up", "--detach", *flags).stdout

    def down(self) -> None:
        self.yihu("down", "--now")

    def destroy(self) -> None:
        """Stop it and remove its home."""
        for thing in ("ami", "control", "parts"):
            if thing in self.__dict__:
                part = getattr(self, thing)
                (part.stop if thing == "ami" else part.close)()
        self.down()
        shutil.rmtree(self.home, ignore_errors=True)

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.yihu("status", "--json", check=False).stdout)
        return found

    def process(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(line for line in self.status()["processes"] if line["name"] == name)
        return found

    def wait_ready(self) -> None:
        until(lambda: self.status()["ready"], 60, "everything ready")

    # -- breaking things -----------------------------------------------------------------------------------

    def kill(self, name: str) -> int:
        """Kill a process the hard way; returns its id."""
        pid = int(self.process(name)["pid"])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie", 10, f"{name} dead")
        return pid

    @contextmanager
    def held_down(self, *names: str) -> Iterator[None]:
        """Kill these processes and keep them dead meanwhile: their supervisor is stopped in its tracks."""
        pids = [int(self.process(name)["pid"]) for name in names]
        supervisor = int(self.status()["supervisor"])
        os.kill(supervisor, signal.SIGSTOP)
        try:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            yield
        finally:
            os.kill(supervisor, signal.SIGCONT)
            for name, pid in zip(names, pids, strict=True):
                until(lambda name=name, pid=pid: self._replaced(name, pid), 60, f"{name} back")  # type: ignore[misc]

    def _replaced(self, name: str, pid: int) -> bool:
        line = self.process(name)
        return line["state"] == "ready" and line["pid"] != pid

    # -- parts of it ---------------------------------------------------------------------------------------

    @cached_property
    def settings(self) -> Settings:
        return load(self.home, port_shift=self.shift, tools=tools_folder())

    @cached_property
    def parts(self) -> Parts:
        return build(self.settings)

    @cached_property
    def ami(self) -> AmiClient:
        client = AmiClient("127.0.0.1", self.settings.port("ami_port"), AMI_USER, secret(self.home, "ami"))
        client.start()
        assert client.wait_ready(20)
        return client

    @cached_property
    def control(self) -> AmiCallControl:
        """Makes ordinary SIP phones instead of browser phones; nothing else knows the difference."""
        return AmiCallControl(self.ami, phone=PLAIN)

    @property
    def sip(self) -> str:
        return f"127.0.0.1:{self.settings.port('sip_port')}"

    def set_policy(self, policy: Policy, value: float) -> None:
        """In force for every process after its cache of a few seconds."""
        self.parts.policies.set(policy, value, basis="test", effective_from=datetime.now(UTC), set_by="test")

    # -- calling ---------------------------------------------------------------------------------------------

    def number(self) -> str:
        """A caller's number that nobody has used yet (invented, see the glossary)."""
        return f"1540998{next(self._numbers):04}"

    def dial(self, lines: SoftPhone, caller: str, **options: Any) -> PhoneCall:
        """Call the hotline; what is heard is kept in the telephone's folder."""
        number = options.pop("number", self.settings.hotline_number)
        return lines.call(number, self.sip, caller=caller, save=lines.folder / f"{caller}.wav", **options)

    # -- looking ---------------------------------------------------------------------------------------------

    def calls(self, caller: str) -> list[Call]:
        with self.parts.db.read() as session:
            return list(session.scalars(select(Call).where(Call.caller_number == caller).order_by(Call.started_at)))

    def call(self, caller: str, seconds: float = LONG) -> Call:
        """The one call of this number."""
        found = until(lambda: self.calls(caller), seconds, f"ledger of {caller}")
        assert len(found) == 1, found
        return found[0]

    def ended(self, caller: str, seconds: float = LONG) -> Call:
        """The one call of this number, once its ledger is closed."""
        return until(lambda: next((c for c in self.calls(caller) if c.ended_at), None), seconds, f"{caller} ended")

    def kinds(self, caller: str) -> list[str]:
        return [event.kind for event in self.events(caller)]

    def events(self, caller: str) -> list[CallEvent]:
        return self.parts.ledger.events(self.call(caller).call_id)

    def event(self, caller: str, kind: Kind, seconds: float = LONG, **data: Any) -> CallEvent:
        """Wait for a step of the call."""

        def find() -> CallEvent | None:
            return next(
                (e for e in self.events(caller) if e.kind == kind and all(e.data.get(k) == v for k, v in data.items())),
                None,
            )

        return until(find, seconds, f"{kind} {data} of {caller}")

    def recordings(self, call_id: str, count: int = 1, seconds: float = 90.0) -> list[Recording]:
        """The stored recordings of a call, once there are ``count``."""

        def stored() -> list[Recording] | None:
            found = self.parts.recordings.of_call(call_id)
            return found if len(found) >= count and all(r.state != "capturing" for r in found) else None

        found = until(stored, seconds, f"{count} recordings of {call_id}")
        assert [r.state for r in found] == ["stored"] * count
        return found

    def channels(self) -> list[str]:
        return [event["Channel"] for event in self.ami.action("CoreShowChannels").events]

    def rooms(self) -> list[str]:
        return [event["Conference"] for event in self.ami.action("ConfbridgeListRooms").events]

    def ledger_text(self) -> str:
        """The ledger of the last call."""
        with self.parts.db.read() as session:
            call = session.scalar(select(Call).order_by(Call.started_at.desc()).limit(1))
        events = self.parts.ledger.events(call.call_id) if call else []
        return "\n".join(f"{e.seq:3} {e.at:%T.%f} {e.source:8} {e.kind:12} {e.data}" for e in events)

    def log_lines(self, since: float) -> list[str]:
        """The system's own log from a moment on (seconds since the epoch)."""
        start = datetime.fromtimestamp(since, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        path = self.home / "log" / "yihu.log"
        lines = path.read_text("utf-8", "replace").splitlines() if path.is_file() else []
        return [line for line in lines if line[:19] >= start]
