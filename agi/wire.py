"""The AGI wire itself: reading lines, writing arguments, understanding answers. Nothing here knows what a call is.
Messages of errors never carry what was on the wire: it may be a caller's data.

Limits are Asterisk's own (res_agi: 8192 bytes and 128 arguments a command) or bounds against a peer gone mad.
"""

from __future__ import annotations

import math
import re
import select
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agi.errors import BadArgument, ProtocolError

MAX_COMMAND = 8192  # bytes of a command line with its newline
MAX_ARGUMENTS = 128
MAX_LINE = 65536  # bytes of one line from Asterisk
MAX_VALUE = 262144  # characters of a value of several lines
MAX_ENV_LINES = 256
MAX_ENV_BYTES = 65536

_ANSWER = re.compile(r"result=(\S*)\s*(.*)", re.DOTALL)
_ENDPOS = re.compile(r"(?:^|\s)endpos=(-?\d+)\s*$")
_ENV_KEY = re.compile(r"^agi_[a-z0-9_]{1,60}$")


class Woken(Exception):
    """Somebody asked the waiting reader to look up (see LineReader.wait_line)."""


class LineReader:
    """Lines from a socket: bounded, decoded as UTF-8 (what is not UTF-8 becomes U+FFFD), with a deadline."""

    def __init__(self, sock: socket.socket, initial: bytes = b"") -> None:
        self._sock = sock
        self._buffer = bytearray(initial)

    def wait_line(self, deadline: float | None, wake_fd: int | None = None) -> None:
        """Return as soon as a whole line can be read without waiting.

        ``deadline`` is on time.monotonic's scale; None waits for ever. Raises TimeoutError after it, EOFError at
        the end of the stream, ProtocolError for an over-long line, and Woken once ``wake_fd`` can be read.
        """
        searched = 0
        while self._buffer.find(b"\n", searched) < 0:
            searched = len(self._buffer)
            if searched > MAX_LINE:
                raise ProtocolError(f"a line of more than {MAX_LINE} bytes")
            self._fill(deadline, wake_fd)

    def readline(self, deadline: float | None) -> str:
        """The next line without its line end. Raises as ``wait_line`` does."""
        self.wait_line(deadline)
        end = self._buffer.index(b"\n")
        if end > MAX_LINE:
            raise ProtocolError(f"a line of more than {MAX_LINE} bytes")
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + 1]
        return line.rstrip("\r")

    def _fill(self, deadline: float | None, wake_fd: int | None) -> None:
        remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
        try:
            if wake_fd is not None:
                poll = select.poll()
                poll.register(self._sock, select.POLLIN)
                poll.register(wake_fd, select.POLLIN)
                ready = [fd for fd, _ in poll.poll(None if remaining is None else math.ceil(remaining * 1000))]
                if ready and self._sock.fileno() not in ready:
                    raise Woken
                remaining = 0.0
            self._sock.settimeout(remaining)
            data = self._sock.recv(65536)
        except (TimeoutError, BlockingIOError):
            raise TimeoutError from None
        except OSError as exc:
            raise EOFError(str(exc)) from exc
        if not data:
            raise EOFError("the socket was closed")
        self._buffer += data


# -- writing --------------------------------------------------------------------------------------------------


class Quoted(str):
    """An argument that is quoted already."""

    __slots__ = ()


def quote(value: object) -> Quoted:
    """One argument in quotes, so that Asterisk reads exactly ``value`` and nothing more.

    Raises BadArgument for NUL, CR and LF: no escape exists for them.
    """
    if isinstance(value, Quoted):
        return value
    text = str(value)
    if any(char in text for char in "\0\r\n"):
        raise BadArgument("NUL, CR and LF cannot be sent in an argument")
    return Quoted('"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"')


def command_line(command: str, args: Sequence[object]) -> bytes:
    """A whole command as bytes; ``command`` comes from code, ``args`` from anywhere. Raises BadArgument."""
    words = [command, *(quote(arg) for arg in args)]
    if len(args) + len(command.split()) > MAX_ARGUMENTS:
        raise BadArgument(f"more than {MAX_ARGUMENTS} arguments")
    line = (" ".join(words) + "\n").encode("utf-8", "replace")
    if len(line) > MAX_COMMAND:
        raise BadArgument(f"a command of more than {MAX_COMMAND} bytes")
    return line


_APP_SPECIAL = re.compile(r'([\\",()\[\]])')


class Options(str):
    """The options argument of a dialplan application: ``Options("S", r="/x/in.wav")`` → ``Sr(/x/in.wav)``.

    Letters come from code. Values may not contain what would end them early: Asterisk has no escape for it in
    options. Raises BadArgument.
    """

    __slots__ = ()

    def __new__(cls, flags: str = "", **values: object) -> Options:
        parts = [flags]
        for letter, value in values.items():
            text = str(value)
            if re.search(r'[\\"(),\[\]\x00-\x1f\x7f]', text):
                raise BadArgument(f"the value of option {letter} has a character that options cannot carry")
            parts.append(f"{letter}({text})")
        return super().__new__(cls, "".join(parts))


def app_arguments(args: Sequence[str | int]) -> str:
    """The arguments of an application as one string: each escaped, so that a comma in one is not the next."""
    return ",".join(str(arg) if isinstance(arg, int | Options) else _APP_SPECIAL.sub(r"\\\1", arg) for arg in args)


# -- understanding ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: ``200 result=35 (dtmf) endpos=8000`` has result "35", note "dtmf" and endpos 8000."""

    code: int
    result: str = ""
    note: str = ""
    endpos: int = 0

    @property
    def number(self) -> int:
        """The result as a number; raises ProtocolError if it is none."""
        try:
            return int(self.result)
        except ValueError:
            raise ProtocolError("expected a number as result") from None

    @property
    def key(self) -> str:
        """The result as a telephone key: "" for 0."""
        number = self.number
        if number == 0:
            return ""
        if not 32 <= number < 127:
            raise ProtocolError("expected a key as result")
        return chr(number)


def unfinished(line: str) -> bool:
    """Whether an answer's value goes on in the next line."""
    match = _ANSWER.search(line)
    if match is None:
        return False
    rest = _ENDPOS.sub("", match[2])
    return rest.startswith("(") and not rest.rstrip().endswith(")")


def parse_reply(line: str) -> Reply | None:
    """Understand an answer (several lines joined by newlines); None when it is not one."""
    if len(line) < 3 or not (line[:3].isascii() and line[:3].isdigit()) or line[3:4] not in ("", " ", "-"):
        return None
    code, text = int(line[:3]), line[4:]
    if code != 200:
        return Reply(code, note=text)
    match = _ANSWER.match(text)
    if match is None:
        raise ProtocolError("an answer without a result")
    result, rest = match.groups()
    endpos = 0
    if found := _ENDPOS.search(rest):
        endpos, rest = int(found[1]), rest[: found.start()]
    rest = rest.rstrip()
    note = rest[1:-1] if rest.startswith("(") and rest.endswith(")") else rest
    return Reply(code, result, note, endpos)


def parse_env(lines: Sequence[str]) -> dict[str, str]:
    """The environment that opens a session: ``agi_*`` names only, the first of each counts, "unknown" is empty.

    Raises ProtocolError when it is not one.
    """
    env: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        name = name.strip()
        if not colon or not _ENV_KEY.match(name):
            raise ProtocolError("not an AGI environment")
        value = value.strip()
        env.setdefault(name, "" if value == "unknown" else value)
    if "agi_request" not in env and "agi_network_script" not in env:
        raise ProtocolError("an AGI environment without a request")
    return env


def request_path(env: Mapping[str, str]) -> str:
    """The path asked for: "/call" of ``agi://127.0.0.1:14573/call?x=1``."""
    script = env.get("agi_network_script")
    if script is None:
        script = env.get("agi_request", "").partition("://")[2].partition("/")[2]
    return "/" + script.lstrip("/").partition("?")[0]
