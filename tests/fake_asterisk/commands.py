"""The AGI commands of the fake caller, answered as Asterisk 22 answers them (see tests/contracts)."""

from __future__ import annotations

import re
import threading
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fake_asterisk.words import split_arguments

HANG_UP = "hang-up"
ALL_KEYS = "0123456789*#ABCD"
USAGE = "520-Invalid command syntax.  Proper usage follows:\nUsage: so and so\n520 End of proper usage.\n"


@dataclass(frozen=True)
class Message:
    """What the caller says when recorded: so many seconds, then a key, silence, hang-up, or on until the limit."""

    seconds: float
    then: str = "silence"  # a key | "silence" | "hang-up" | "on"


class Gone(Exception):
    """The caller hung up while a command ran."""


class Commands:
    """One method a command; they return the answer's text."""

    keys: list[tuple[float, str]]
    on_play: dict[str, str]
    lengths: dict[str, float]
    missing: tuple[str, ...]
    message: Message
    variables: dict[str, str]
    functions: dict[str, str]
    database: dict[tuple[str, str], str]
    apps: dict[str, Callable[[Any, list[str]], int]]
    now: float
    up: bool
    hung_up: bool
    music: bool
    played: list[str]
    executed: list[tuple[str, list[str]]]
    room: str
    _changed: threading.Condition
    _leave: int | None

    def hang_up(self) -> None:
        raise NotImplementedError

    def _pass(self, seconds: float, keys: str) -> tuple[str, float]:
        """Let time pass until a key out of ``keys``: (key or "" or "new command", seconds passed). Raises Gone."""
        raise NotImplementedError

    def _advance(self, moment: float) -> None:
        raise NotImplementedError

    def _do_answer(self) -> str:
        self.up = True
        return "200 result=0"

    def _do_hangup(self) -> str:
        self.hung_up = True
        return "200 result=1"

    def _do_channel_status(self) -> str:
        return f"200 result={6 if self.up else 4}"

    def _do_noop(self, *_: str) -> str:
        return "200 result=0"

    def _do_verbose(self, text: str, level: str = "1") -> str:
        return "200 result=1"

    def _do_set_music(self, on: str, music_class: str = "") -> str:
        self.music = on.upper() == "ON"
        return "200 result=0"

    def _do_stream_file(self, path: str, keys: str, offset: str = "0") -> str:
        if path.endswith(self.missing):
            return "200 result=-1 endpos=0"
        key, passed = self._play(path, keys)
        if key == "new command":
            return ""  # Asterisk gives no answer to a command that a new one interrupts
        return f"200 result={ord(key) if key else 0} endpos={int(passed * 8000)}"

    def _play(self, path: str, keys: str) -> tuple[str, float]:
        with self._changed:
            self.played.append(path)
            self._changed.notify_all()
        for end, action in list(self.on_play.items()):
            if path.endswith(end):
                del self.on_play[end]
                if action == HANG_UP:
                    self.hang_up()
                    raise Gone
                self.keys.insert(0, (self.now, action))
        length = next((seconds for end, seconds in self.lengths.items() if path.endswith(end)), 2.0)
        return self._pass(length, keys)

    def _do_wait_for_digit(self, milliseconds: str) -> str:
        key, _ = self._pass(int(milliseconds) / 1000, ALL_KEYS)
        if key == "new command":
            return "200 result=1"
        return f"200 result={ord(key) if key else 0}"

    def _do_get_data(self, path: str, milliseconds: str = "2000", most: str = "255") -> str:
        if path.endswith(self.missing):
            return "200 result=-1"
        keys, _ = self._play(path, ALL_KEYS)
        while not keys.endswith("#") and len(keys) < int(most):
            key, _ = self._pass(int(milliseconds) / 1000, ALL_KEYS)
            if not key:
                return f"200 result={keys} (timeout)"
            keys += key
        return f"200 result={keys.rstrip('#')}"

    def _do_record_file(self, path: str, form: str, keys: str, milliseconds: str, *rest: str) -> str:
        silence = next((float(word[2:]) for word in rest if word.startswith("s=")), 0.0)
        limit, message = int(milliseconds) / 1000, self.message
        seconds, note, result = min(message.seconds, limit), "timeout", 0
        if message.seconds < limit:
            if message.then == HANG_UP:
                note, result = "hangup", -1
            elif message.then in keys:
                note, result = "dtmf", ord(message.then)
            elif message.then == "silence" and silence:
                seconds += 1.0  # Asterisk leaves one second of the silence
            else:
                seconds = limit
        self._advance(self.now + seconds)
        with wave.open(str(Path(f"{path}.{form}")), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes(b"\0\0" * int(seconds * 8000))
        if result == -1:
            self.hang_up()
        return f"200 result={result} ({note}) endpos={int(seconds * 8000)}"

    def _do_exec(self, application: str, data: str = "") -> str:
        app = next((app for name, app in self.apps.items() if name.lower() == application.lower()), None)
        if app is None:
            return "200 result=-2"
        arguments = split_arguments(data)
        with self._changed:
            self.executed.append((application, arguments))
            self._changed.notify_all()
        result = app(self, arguments)
        return f"200 result={result}" + ("\n" + USAGE if result == 1 else "")

    def _room(self, arguments: list[str]) -> int:
        with self._changed:
            self.room, self._leave = arguments[0], None
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._leave is not None or self.hung_up)
            self.room = ""
            return -1 if self.hung_up or self._leave is None else self._leave

    def _do_set_variable(self, name: str, value: str) -> str:
        with self._changed:
            self.variables[name] = value
            self._changed.notify_all()
        return "200 result=1"

    def _do_get_variable(self, name: str) -> str:
        value = self.variables.get(name)
        return "200 result=0" if value is None else f"200 result=1 ({value})"

    def _do_get_full_variable(self, expression: str) -> str:
        known = {**self.variables, **self.functions}
        value = re.sub(r"\$\{([^}]*)\}", lambda found: known.get(found[1], ""), expression)
        return f"200 result=1 ({value})"

    def _do_database_get(self, family: str, key: str) -> str:
        value = self.database.get((family, key))
        return "200 result=0" if value is None else f"200 result=1 ({value})"

    def _do_database_put(self, family: str, key: str, value: str) -> str:
        self.database[family, key] = value
        return "200 result=1"

    def _do_database_del(self, family: str, key: str) -> str:
        self.database.pop((family, key), None)
        return "200 result=1"
