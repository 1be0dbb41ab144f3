"""A caller who dials our FastAGI server as Asterisk would, with a script of keys and a hang-up.

Time is virtual: playing a prompt or waiting for a key takes no real time but moves ``now`` on, and a given
``ManualClock`` with it. ``pace`` makes a virtual second last that many real ones.
"""

from __future__ import annotations

import contextlib
import inspect
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from core.clock import ManualClock
from tests.fake_asterisk.commands import USAGE, Commands, Gone, Message
from tests.fake_asterisk.words import split_words

DEAD_OK = ("DATABASE", "EXEC", "GET VARIABLE", "GET FULL", "SET VARIABLE", "NOOP", "VERBOSE")


class FakeCaller(Commands):
    """Dials on ``start`` (or ``with``); serves commands in a thread until the server closes the socket.

    ``keys``: (virtual second, key) pairs. ``on_play``: what to do when a prompt whose path ends so is played: a key,
    or "hang-up"; each once. ``hang_up_at``: virtual second. ``lengths``: seconds of prompts by end of path.
    ``missing``: ends of paths that do not exist.
    """

    def __init__(
        self,
        port: int,
        *,
        path: str = "call",
        call_id: str = "n1-1772424000.1",
        number: str = "15409980001",
        dialled: str = "12345",
        env: Mapping[str, str] | None = None,
        keys: list[tuple[float, str]] | None = None,
        on_play: Mapping[str, str] | None = None,
        hang_up_at: float | None = None,
        lengths: Mapping[str, float] | None = None,
        missing: tuple[str, ...] = (),
        message: Message | None = None,
        variables: Mapping[str, str] | None = None,
        functions: Mapping[str, str] | None = None,
        clock: ManualClock | None = None,
        pace: float = 0.0,
    ) -> None:
        self.port, self.path = port, path
        self.env = {
            "agi_network": "yes",
            "agi_network_script": path,
            "agi_request": f"agi://127.0.0.1:{port}/{path}",
            "agi_channel": "PJSIP/trunk-00000001",
            "agi_language": "en",
            "agi_type": "PJSIP",
            "agi_uniqueid": call_id,
            "agi_version": "22.0.0",
            "agi_callerid": number,
            "agi_calleridname": "unknown",
            "agi_dnid": dialled,
            "agi_rdnis": "unknown",
            "agi_context": "inbound",
            "agi_extension": dialled,
            "agi_priority": "3",
            "agi_enhanced": "0.0",
            "agi_accountcode": "",
            "agi_threadid": "1",
        } | dict(env or {})
        self.keys = sorted(keys or [])
        self.on_play = dict(on_play or {})
        self.hang_up_at = hang_up_at
        self.lengths, self.missing = dict(lengths or {}), missing
        self.message = message or Message(5.0)
        self.variables = {"UNIQUEID": call_id} | dict(variables or {})
        self.functions = {"CHANNEL(state)": "Up"} | dict(functions or {})
        self.database: dict[tuple[str, str], str] = {}
        self.clock, self.pace = clock, pace
        self.now = 0.0
        self.up = self.hung_up = self.music = self.finished = False
        self.apps: dict[str, Callable[[Any, list[str]], int]] = {
            name: lambda caller, args: 0
            for name in ("MixMonitor", "StopMixMonitor", "Playback", "NoOp", "Wait", "Dial")
        } | {"ConfBridge": Commands._room}
        self.commands: list[list[str]] = []
        self.played: list[str] = []
        self.executed: list[tuple[str, list[str]]] = []
        self.room = ""  # the room the caller stands in
        self._changed = threading.Condition()
        self._leave: int | None = None
        self._sock: socket.socket | None = None
        self._wake_in, self._wake_out = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="fake-caller", daemon=True)

    # -- for the test --

    def start(self) -> Self:
        self._sock = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        self._sock.sendall("".join(f"{name}: {value}\n" for name, value in self.env.items()).encode() + b"\n")
        self._thread.start()
        return self

    def join(self, seconds: float = 10.0) -> None:
        """Wait until the server has ended the session. Raises AssertionError when it does not."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), f"the session does not end; last commands: {self.commands[-5:]}"

    def hang_up(self) -> None:
        """Hang up now, whatever is going on; from any thread."""
        with self._changed:
            if self.hung_up:
                return
            self.hung_up = True
            self._changed.notify_all()
        self._wake_in.send(b"x")

    def press(self, key: str) -> None:
        """Press a key now; for paced callers."""
        with self._changed:
            self.keys.insert(0, (self.now, key))
        self._wake_in.send(b"x")

    def leave_room(self, result: int = 0) -> None:
        """Let the room release the caller (as when the last marked party has left)."""
        with self._changed:
            self._leave = result
            self._changed.notify_all()

    def wait_until(self, condition: Callable[[FakeCaller], bool], seconds: float = 10.0) -> None:
        """Wait until something holds that a command changes. Raises AssertionError when it does not come."""
        with self._changed:
            assert self._changed.wait_for(lambda: condition(self), seconds), f"last commands: {self.commands[-5:]}"

    def close(self) -> None:
        if self._sock is not None:
            with contextlib.suppress(OSError):
                self._sock.shutdown(socket.SHUT_RDWR)
            self._thread.join(10)
            self._sock.close()
        self._wake_in.close()
        self._wake_out.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- the session --

    def _run(self) -> None:
        assert self._sock is not None
        buffer = b""
        told = False
        try:
            while True:
                if self.hung_up and not told:
                    told = True
                    self._say("HANGUP")
                if b"\n" not in buffer:
                    if self.pace > 0 and not self.hung_up and self._reached(self._next_event(self.now + 3600)):
                        self._event_now()  # keys pressed while no command runs are lost
                        continue
                    patience = 0 if self.pace > 0 and not self.hung_up else None
                    ready, _, _ = select.select([self._sock, self._wake_out], [], [], patience)
                    if self._wake_out in ready:
                        self._wake_out.recv(4096)
                    if self._sock not in ready:
                        continue
                    data = self._sock.recv(65536)
                    if not data:
                        break
                    buffer += data
                    continue
                line, _, buffer = buffer.partition(b"\n")
                if answer := self._serve(line.decode("utf-8", "replace")):
                    self._say(answer)
        except OSError:
            pass
        finally:
            with self._changed:
                self.finished = True
                self._changed.notify_all()

    def _say(self, line: str) -> None:
        assert self._sock is not None
        self._sock.sendall((line if line.endswith("\n") else line + "\n").encode("utf-8", "surrogateescape"))

    def _serve(self, line: str) -> str:
        words = split_words(line)
        with self._changed:
            self.commands.append(words)
            self._changed.notify_all()
        upper = " ".join(word.upper() for word in words)
        if self.hung_up and not upper.startswith(DEAD_OK):
            return "511 Command Not Permitted on a dead channel or intercept routine"
        for length in (3, 2, 1):
            handler = getattr(self, "_do_" + "_".join(words[:length]).lower(), None)
            if handler is not None:
                try:
                    inspect.signature(handler).bind(*words[length:])
                except TypeError:
                    return USAGE
                try:
                    return str(handler(*words[length:]))
                except Gone:
                    return "200 result=-1 endpos=0" if upper.startswith("STREAM") else "200 result=-1"
        return "510 Invalid or unknown command"

    def _pass(self, seconds: float, keys: str) -> tuple[str, float]:
        """Let time pass until a key out of ``keys``: (key or "" or "new command", seconds passed). Raises Gone."""
        end = self.now + seconds
        while True:
            if self.hung_up:
                raise Gone
            if not self._reached(self._next_event(end)):
                if self._has_command():
                    return "new command", seconds - (end - self.now)
                continue
            key = self._event_now()
            if key and key in keys:
                return key, seconds - (end - self.now)
            if not key and not self.hung_up and self.now >= end:
                return "", seconds

    def _next_event(self, end: float) -> float:
        """When the script has something next, at the latest ``end``."""
        with self._changed:
            moments = [end, *([self.keys[0][0]] if self.keys else [])]
        return min([*moments, self.hang_up_at] if self.hang_up_at is not None else moments)

    def _event_now(self) -> str:
        """What the script has for this moment: a key, or a hang-up."""
        if self.hang_up_at is not None and self.hang_up_at <= self.now:
            self.hang_up()
            return ""
        with self._changed:
            return self.keys.pop(0)[1] if self.keys and self.keys[0][0] <= self.now else ""

    def _reached(self, moment: float) -> bool:
        """Go to a virtual moment; False when something else happened first (paced callers only)."""
        if self.pace > 0 and moment > self.now:
            assert self._sock is not None
            began = time.monotonic()
            ready, _, _ = select.select([self._sock, self._wake_out], [], [], (moment - self.now) * self.pace)
            if ready:
                if self._wake_out in ready:
                    self._wake_out.recv(4096)
                self._advance(min(moment, self.now + (time.monotonic() - began) / self.pace))
                return False
        self._advance(max(self.now, moment))
        return True

    def _has_command(self) -> bool:
        assert self._sock is not None
        return bool(select.select([self._sock], [], [], 0)[0])

    def _advance(self, moment: float) -> None:
        if self.clock is not None:
            self.clock.advance(moment - self.now)
        self.now = moment
