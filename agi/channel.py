"""A caller's channel: what a call session can do with it.

Rules of every method:

* a hang-up, however it shows, is :class:`agi.errors.Hangup`. A command during which it happens raises it too,
  except reading and setting of variables and the database, ``noop``, ``verbose`` and ``record_file``: their
  result counts.
* once hung up, only those (not ``record_file``) and ``exec`` are sent; everything else raises Hangup at once.
* anything else that goes wrong is an :class:`agi.errors.AgiError`.
* a caller's data may be given as any argument. Names of variables, functions, applications and music come from code.

Seconds are float, files are paths without extension that Asterisk can read.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agi.errors import BadArgument, CommandFailed, Hangup, ProtocolError
from agi.protocol import Protocol
from agi.wire import Options, Quoted, Woken, app_arguments

LONGEST_PROMPT = 600.0  # s; for prompts whose length cannot be seen from here
BEEP_SECONDS = 2.0
ALL_KEYS = "0123456789*#ABCD"
BYTES_PER_SECOND = {".wav": 16000, ".sln16": 32000, ".wav16": 32000, ".sln": 16000, ".alaw": 8000, ".ulaw": 8000}
SAMPLE_RATE = {"wav": 8000, "wav16": 16000, "sln": 8000, "sln16": 16000, "alaw": 8000, "ulaw": 8000}

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,79}")
_FUNCTION = re.compile(r"[A-Z][A-Z0-9_]{0,39}")
_FUNCTION_ARG = re.compile(r"[A-Za-z0-9_:./@-]{0,80}")
_WORD = re.compile(r"[A-Za-z0-9_-]{1,40}")
_KEYS = re.compile(r"[0-9*#A-D]*")

__all__ = ["Channel", "Digits", "Options", "RecordResult"]


@dataclass(frozen=True, slots=True)
class Digits:
    """Keys that were collected, and what ended it: enough of them, the pound key (not among ``keys``), or time."""

    keys: str
    ended_by: Literal["full", "pound", "timeout"]


@dataclass(frozen=True, slots=True)
class RecordResult:
    """A finished recording: its length in seconds, the key that ended it ("" for none), and what ended it."""

    seconds: float
    key: str
    ended_by: Literal["key", "timeout", "silence", "hangup"]


class Channel(Protocol):
    """See the module's text. ``env``, ``path``, ``args`` and ``call_id`` say who called what."""

    # -- looking --

    def check(self) -> None:
        """Raise Hangup if the caller has hung up by now; never waits."""
        self.wait(0.0)

    def wait(self, seconds: float, *, wakeable: bool = False) -> None:
        """Do nothing for ``seconds``, but raise Hangup at once when the caller hangs up.

        Keys pressed meanwhile are lost; ``wait_for_digit`` hears them. ``wakeable``: ``wake`` ends it early.
        """
        self._refuse_if_over(dead_ok=False)
        handle = self._wake_handle() if wakeable else None
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._reader.wait_line(deadline, handle)
            except TimeoutError:
                return
            except Woken:
                self._wake_taken()
                return
            except EOFError:
                raise self._gone() from None
            except ProtocolError as exc:
                raise self._broken(exc) from None
            if self._reader.readline(0.0) == "HANGUP":
                self._hung_up = True
                raise Hangup("line")

    def status(self) -> int:
        """Asterisk's state of the channel: 6 is up (answered), 4 is ringing."""
        return self._command("CHANNEL STATUS").number

    # -- the line --

    def answer(self) -> None:
        """Take the call; no effect when it is answered already."""
        self._command("ANSWER")

    def hangup(self, channel: str = "") -> None:
        """End the call. The next command raises Hangup; no effect when the caller was quicker."""
        if not self._hung_up:
            self._command("HANGUP")
            self._hung_up = True

    def music(self, on: bool, music_class: str = "default") -> None:
        """Start or stop music; it plays on through ``wait_for_digit`` and stops for a prompt."""
        if not _WORD.fullmatch(music_class):
            raise BadArgument("not the name of a class of music")
        if on:
            self._command("SET MUSIC", "ON", music_class)
        else:
            self._command("SET MUSIC", "OFF")

    # -- prompts and keys --

    def stream_file(self, path: str, escape_digits: str = "", sample_offset: int = 0, *, wakeable: bool = False) -> str:
        """Play a file. Returns the key of ``escape_digits`` that stopped it, "" when it played to its end or
        ``wake`` stopped it (``wakeable``). Raises CommandFailed when there is no such file."""
        args = (path, _keys(escape_digits), sample_offset)
        if wakeable:
            reply = self._wakeable("STREAM FILE", *args, seconds=_playing_seconds(path))
            return "" if reply is None else reply.key
        return self._command("STREAM FILE", *args, seconds=_playing_seconds(path)).key

    def play(self, paths: Sequence[str], escape_digits: str = "") -> str:
        """Play files one after the other; as ``stream_file``. A key in the moment between two files is lost."""
        for path in paths:
            if key := self.stream_file(path, escape_digits):
                return key
        return ""

    def wait_for_digit(self, seconds: float = 2.0, *, wakeable: bool = False) -> str:
        """Wait for a key: which, or "" when none came in time or ``wake`` ended it (``wakeable``)."""
        if wakeable:
            reply = self._wakeable("WAIT FOR DIGIT", _ms(seconds), seconds=seconds)
            return "" if reply is None else reply.key
        return self._command("WAIT FOR DIGIT", _ms(seconds), seconds=seconds).key

    def get_data(self, paths: str | Sequence[str], seconds: float = 2.0, max_digits: int = 255) -> Digits:
        """Play files and collect up to ``max_digits`` keys; any key stops the playing.

        ``seconds``: how long to wait for each key. The pound key ends the collecting. While the last file plays and
        after it Asterisk itself collects, so that quick keys are not lost. Raises CommandFailed for a missing file.
        """
        files = [paths] if isinstance(paths, str) else list(paths)
        if not files or not 1 <= max_digits <= 255:
            raise BadArgument("a file, and 1 to 255 keys to collect")
        if key := self.play(files[:-1], ALL_KEYS):
            return self._collect(key, seconds, max_digits)
        length = _playing_seconds(files[-1]) + seconds * max_digits
        reply = self._command("GET DATA", files[-1], _ms(seconds), max_digits, seconds=length)
        keys = reply.result
        if not _KEYS.fullmatch(keys):
            raise self._broken(ProtocolError("expected keys as result"))
        if reply.note == "timeout":
            return Digits(keys, "timeout")
        return Digits(keys, "full" if len(keys) >= max_digits else "pound")

    def _collect(self, keys: str, seconds: float, most: int) -> Digits:
        while not keys.endswith("#") and len(keys) < most:
            if not (key := self.wait_for_digit(seconds)):
                return Digits(keys, "timeout")
            keys += key
        return Digits(keys.removesuffix("#"), "pound" if keys.endswith("#") else "full")

    # -- recording --

    def record_file(
        self,
        path: str,
        format: str = "wav",
        *,
        max_seconds: float,
        silence_seconds: float = 0.0,
        beep: bool = True,
        escape_digits: str = "#",
    ) -> RecordResult:
        """Record the caller into ``path``.``format`` (overwritten) until a key, silence, ``max_seconds`` or hang-up.

        ``silence_seconds`` is rounded to whole seconds, 0 is off; the silence is cut off save for one second. A
        hang-up is a result here (the message is kept); the next command raises Hangup. Raises CommandFailed when
        the file cannot be written.
        """
        if format not in SAMPLE_RATE:
            raise BadArgument(f"unknown format {format[:20]!r}")
        silence = round(silence_seconds)
        args: list[object] = [path, format, _keys(escape_digits), _ms(max_seconds)]
        # The slot after the time is the offset, then "beep" if anything; "s=" is the silence in any later one.
        args += [0, "beep"] if beep else [0]
        if silence > 0:
            args.append(f"s={silence}")
        reply = self._command("RECORD FILE", *args, seconds=max_seconds + BEEP_SECONDS, minus_one_ok=True)
        seconds = max(0, reply.endpos) / SAMPLE_RATE[format]
        if reply.note == "dtmf" or (reply.note == "randomerror" and reply.number > 0):  # the latter: during the beep
            return RecordResult(seconds, reply.key, "key")
        if reply.note == "timeout" and reply.result != "-1":
            quiet = silence > 0 and seconds < max_seconds - 0.5
            return RecordResult(seconds, "", "silence" if quiet else "timeout")
        if reply.note in ("hangup", "waitfor") or self._hung_up:
            self._hung_up = True
            return RecordResult(seconds, "", "hangup")
        try:
            self._raise_for_minus_one()
        except Hangup:
            return RecordResult(seconds, "", "hangup")
        raise CommandFailed("recording failed")

    # -- applications --

    def exec(self, application: str, *args: str | int, max_seconds: float | None = None) -> int:
        """Run a dialplan application and return its result when it ends.

        Each string argument arrives whole, whatever is in it; ``Options`` build the options argument. Nothing is
        substituted in them. ``max_seconds`` None: only a hang-up, the end of the socket or TCP keep-alive end the
        waiting (a room, a queue). Raises CommandFailed for an unknown application or result -1.
        """
        if not _WORD.fullmatch(application):
            raise BadArgument("not the name of an application")
        reply = self._command("EXEC", application, app_arguments(args), seconds=max_seconds)
        if reply.result == "-2":
            raise CommandFailed(f"Asterisk has no application {application}", fix="load its module")
        if reply.result == "1" and not self._hung_up:
            self._evaluate("")  # res_agi takes an application's 1 for "wrong usage" and says so in a second answer
        return reply.number

    def appexec(self, application: str, options: str = "") -> int:
        """pyst2's name for ``exec`` with one argument."""
        return self.exec(application, options)

    def exec_command(self, command: str, *args: str | int) -> int:
        """pyst2's name for ``exec``."""
        return self.exec(command, *args)

    # -- variables and the database --

    def get_variable(self, name: str) -> str:
        """A channel variable, "" when it is not set. Slow (one round trip): keep state in Python."""
        return self._evaluate("${" + _variable(name) + "}")

    def get_full_variable(self, name: str, channel: str | None = None) -> str:
        """pyst2's name; here the same as ``get_variable``, for expressions run dialplan functions."""
        return self.get_variable(name)

    def get_function(self, name: str, *args: str) -> str:
        """A dialplan function, e.g. ("CHANNEL", "state"). Both from code; strict, as functions can run anything."""
        if not _FUNCTION.fullmatch(name) or not all(_FUNCTION_ARG.fullmatch(arg) for arg in args):
            raise BadArgument("not a function that may be read")
        return self._evaluate("${" + f"{name}({','.join(args)})" + "}")

    def set_variable(self, name: str, value: object) -> None:
        """Set a channel variable; a leading underscore makes it inherited. Raises BadArgument for line ends."""
        self._command("SET VARIABLE", _variable(name), value)

    def database_get(self, family: str, key: str) -> str | None:
        """A value of Asterisk's own database; None when there is none."""
        return self._raw_value("DATABASE GET", family, key)

    def database_put(self, family: str, key: str, value: object) -> None:
        """Set a value of Asterisk's own database. Raises CommandFailed."""
        if self._command("DATABASE PUT", family, key, value).result != "1":
            raise CommandFailed("Asterisk's database took no value")

    def database_del(self, family: str, key: str) -> None:
        """Delete a value of Asterisk's own database; whether there was one is not told."""
        self._command("DATABASE DEL", family, key)

    # -- telling --

    def noop(self) -> None:
        """Nothing, answered."""
        self._command("NOOP")

    def verbose(self, message: str, level: int = 1) -> None:
        """A line in Asterisk's log; control characters become spaces, it is cut at 1000 characters."""
        text = re.sub(r"[\x00-\x1f\x7f]", " ", message)[:1000]
        self._command("VERBOSE", text, level)


def _keys(keys: str) -> Quoted:
    if not _KEYS.fullmatch(keys):
        raise BadArgument("keys are 0-9, *, # and A-D")
    return Quoted(f'"{keys}"')


def _variable(name: str) -> str:
    if not _VARIABLE.fullmatch(name):
        raise BadArgument("not the name of a channel variable")
    return name


def _ms(seconds: float) -> int:
    """Whole milliseconds, at least one: Asterisk takes 0 for its own default."""
    return max(1, math.ceil(seconds * 1000))


def _playing_seconds(path: str) -> float:
    """How long a file plays, seen from its size; LONGEST_PROMPT when it cannot be seen."""
    lengths = []
    for extension, rate in BYTES_PER_SECOND.items():
        try:
            lengths.append(Path(path + extension).stat().st_size / rate)
        except (OSError, ValueError):
            continue
    return max(lengths, default=LONGEST_PROMPT)
