"""pyst2's AGI made safe: one command, one answer, and one exception for the end of the call.

pyst2 gives the commands; this class replaces everything beneath them (``_get_agi_env``, ``_quote``, ``execute``,
``send_command``, ``get_result``), so that also those of its methods that ``Channel`` does not replace are quoted,
bounded and time-limited.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
import time

from asterisk.agi import AGI

from agi.errors import AgiError, ChannelTimeout, CommandFailed, CommandRefused, Hangup, ProtocolError
from agi.wire import (
    MAX_ENV_BYTES,
    MAX_ENV_LINES,
    MAX_VALUE,
    LineReader,
    Quoted,
    Reply,
    Woken,
    command_line,
    parse_env,
    parse_reply,
    quote,
    request_path,
    unfinished,
)

PLAIN_SECONDS = 5.0  # own length of a command that only changes or tells something
MAX_STRAY_LINES = 200
SEND_SECONDS = 10.0

# What works on a dead channel (res_agi's runs_dead); a hang-up meanwhile does not spoil their result.
DEAD_OK = ("DATABASE ", "GET VARIABLE", "GET FULL VARIABLE", "SET VARIABLE", "NOOP", "VERBOSE")


class Protocol(AGI):  # type: ignore[misc]  # pyst2 has no types
    """A session with Asterisk over a connected socket; used by one thread (``close`` and ``wake``: by any)."""

    def __init__(
        self, sock: socket.socket, *, initial: bytes = b"", env_seconds: float = 3.0, slack: float = 10.0
    ) -> None:
        """Read the environment. ``initial``: bytes already read; ``slack``: what a command may be late (s).

        Raises ProtocolError, ChannelTimeout or Hangup when no sound environment comes within ``env_seconds``.
        """
        # AGI.__init__ is not called: it installs a signal handler and writes the caller's data to stderr.
        self._sock = sock
        self._reader = LineReader(sock, initial)
        self._slack = slack
        self._fault: AgiError | None = None
        self._over: Hangup | None = None  # the socket can say nothing any more
        self._hung_up = False
        self._closed = False
        self._nonce = secrets.token_hex(12)
        self._wake_lock = threading.Lock()
        self._wake_fd: int | None = None
        self._wake_pending = False
        self.env: dict[str, str] = {}
        self._get_agi_env(env_seconds)
        self.path = request_path(self.env)
        self.call_id = self.env.get("agi_uniqueid", "")
        self.args = [self.env[f"agi_arg_{n}"] for n in range(1, 100) if f"agi_arg_{n}" in self.env]

    # -- state --

    @property
    def hung_up(self) -> bool:
        """Whether a hang-up has been noticed so far; looks at nothing."""
        return self._hung_up

    @property
    def usable(self) -> bool:
        """Whether any command can still be sent."""
        return self._fault is None and self._over is None and not self._closed

    def close(self) -> None:
        """End the session, from any thread; the thread that uses the channel gets Hangup("ours"). Safe twice."""
        with self._wake_lock:
            self._closed = True
            if self._wake_fd is not None:
                os.close(self._wake_fd)
                self._wake_fd = None
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def wake(self) -> None:
        """Make the waiting command of the channel's thread return early, if it was called with ``wakeable``; or
        the next such command. From any thread; never blocks."""
        with self._wake_lock:
            self._wake_pending = True
            if self._wake_fd is not None:
                os.eventfd_write(self._wake_fd, 1)

    def _wake_handle(self) -> int | None:
        with self._wake_lock:
            if self._closed:
                return None
            if self._wake_fd is None:
                self._wake_fd = os.eventfd(int(self._wake_pending), os.EFD_NONBLOCK | os.EFD_CLOEXEC)
            return self._wake_fd

    def _wake_taken(self) -> None:
        with self._wake_lock:
            self._wake_pending = False
            if self._wake_fd is not None:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._wake_fd)

    # -- what pyst2 does unsafely -------------------------------------------------------------------------------

    def _get_agi_env(self, seconds: float = 3.0) -> None:
        lines: list[str] = []
        size = 0
        deadline = time.monotonic() + seconds
        while line := self._line(deadline):
            lines.append(line)
            size += len(line)
            if len(lines) > MAX_ENV_LINES or size > MAX_ENV_BYTES:
                raise self._broken(ProtocolError("an environment without end"))
        try:
            self.env = parse_env(lines)
        except ProtocolError as exc:
            raise self._broken(exc) from None

    def _quote(self, string: object) -> Quoted:
        return quote(string)

    def test_hangup(self) -> None:
        self._refuse_if_over(dead_ok=False)

    def send_command(self, command: str, *args: object) -> None:
        self._send(command_line(command.strip(), [arg for arg in args if arg != ""]))

    def get_result(self, stdin: object = None) -> dict[str, tuple[str, str]]:
        reply = self._reply(time.monotonic() + self._slack)
        return {"result": (reply.result, reply.note)}

    def execute(self, command: str, *args: object, seconds: float = 60.0) -> dict[str, tuple[str, str]]:
        """What pyst2's own methods call; same safety as every command. ``seconds``: its own length."""
        command = command.strip().upper()
        # pyst2 leaves out optional arguments by passing an empty string that is not quoted.
        reply = self._command(command, *(arg for arg in args if isinstance(arg, Quoted) or arg != ""), seconds=seconds)
        return {"result": (reply.result, reply.note), "endpos": (str(reply.endpos), "")}

    # -- one command, one answer ----------------------------------------------------------------------------------

    def _command(
        self, command: str, *args: object, seconds: float | None = PLAIN_SECONDS, minus_one_ok: bool = False
    ) -> Reply:
        """Send a command and return its answer.

        ``seconds`` is the command's own length; None: it may last for ever. ``minus_one_ok``: result -1 has a
        meaning of its own for the caller of this method. Raises Hangup, CommandFailed, CommandRefused,
        BadArgument, ChannelTimeout, ProtocolError.
        """
        line = command_line(command, args)
        dead_ok = command.startswith(DEAD_OK)
        was_dead = self._hung_up
        self._refuse_if_over(dead_ok or command == "EXEC")
        self._send(line)
        reply = self._reply(None if seconds is None else time.monotonic() + seconds + self._slack)
        return self._judged(reply, dead_ok=dead_ok or was_dead, minus_one_ok=minus_one_ok)

    def _judged(self, reply: Reply, *, dead_ok: bool, minus_one_ok: bool = False) -> Reply:
        if reply.code == 511:
            self._hung_up = True
            raise Hangup("dead")
        if reply.code in (510, 520):
            raise CommandRefused(f"Asterisk answered {reply.code}")
        if reply.code != 200:
            raise self._broken(ProtocolError(f"unknown answer {reply.code}"))
        if reply.result == "-1" and not minus_one_ok and not dead_ok:
            self._raise_for_minus_one()
        if self._hung_up and not dead_ok and not minus_one_ok:
            raise Hangup("line")
        return reply

    def _raise_for_minus_one(self) -> None:
        """-1 is "hung up" and "cannot" alike: a living channel tells its state, a dead one answers 511."""
        if not self._hung_up:
            self._send(command_line("CHANNEL STATUS", []))
            answer = self._reply(time.monotonic() + PLAIN_SECONDS + self._slack)
            if answer.code == 200 and answer.result != "-1" and not self._hung_up:
                raise CommandFailed("Asterisk answered -1")
        self._hung_up = True
        raise Hangup("result")

    def _refuse_if_over(self, dead_ok: bool) -> None:
        if self._closed:
            self._hung_up = True
            raise Hangup("ours")
        if self._over is not None:
            raise Hangup(self._over.how)
        if self._fault is not None:
            raise type(self._fault)(self._fault.detail)
        if self._hung_up and not dead_ok:
            raise Hangup("line")

    def _send(self, line: bytes) -> None:
        try:
            self._sock.settimeout(SEND_SECONDS)
            self._sock.sendall(line)
        except TimeoutError:
            raise self._broken(ChannelTimeout("Asterisk takes no commands")) from None
        except OSError:
            raise self._gone() from None

    def _reply(self, deadline: float | None) -> Reply:
        """The next answer; notes HANGUP lines, skips 100 and what is no answer."""
        for _ in range(MAX_STRAY_LINES):
            reply = self._understood(self._line(deadline), deadline)
            if reply is not None:
                return reply
        raise self._broken(ProtocolError("too many lines that are no answer"))

    def _understood(self, line: str, deadline: float | None) -> Reply | None:
        """The answer that begins with ``line``, read to its end; None for a line that is none."""
        if line == "HANGUP":
            self._hung_up = True
            return None
        if line.startswith("200"):
            line = self._whole_value(line, deadline)
        try:
            reply = parse_reply(line)
        except ProtocolError as exc:
            raise self._broken(exc) from None
        if line.startswith("520-"):
            self._skip_usage(deadline)
        return None if reply is None or reply.code == 100 else reply

    def _whole_value(self, line: str, deadline: float | None) -> str:
        while unfinished(line):
            if len(line) > MAX_VALUE:
                raise self._broken(ProtocolError("a value without end"))
            line += "\n" + self._line(deadline)
        return line

    def _skip_usage(self, deadline: float | None) -> None:
        for _ in range(MAX_STRAY_LINES):
            if self._line(deadline).startswith("520 "):
                return
        raise self._broken(ProtocolError("a usage text without end"))

    def _line(self, deadline: float | None) -> str:
        self._wait_line(deadline)
        return self._reader.readline(0.0)

    def _wait_line(self, deadline: float | None, wake_fd: int | None = None) -> None:
        try:
            self._reader.wait_line(deadline, wake_fd)
        except TimeoutError:
            raise self._broken(ChannelTimeout("no answer in time")) from None
        except EOFError:
            raise self._gone() from None
        except ProtocolError as exc:
            raise self._broken(exc) from None

    def _gone(self) -> Hangup:
        self._hung_up = True
        self._over = Hangup("ours" if self._closed else "eof")
        return self._over

    def _broken(self, fault: AgiError) -> AgiError:
        """Nothing that comes after a lost or senseless answer can be matched to its command."""
        self._fault = fault
        return fault

    # -- values and waking: exact, whatever the value contains -------------------------------------------------------

    def _evaluate(self, expression: str) -> str:
        """What Asterisk makes of ``expression``, e.g. ``${NAME}``; comes from code, never from a caller.

        A random mark after the value shows its end, so a value with newlines, parentheses or a whole false answer
        in it shifts nothing. Also longer than the 1024 bytes that GET VARIABLE can carry.
        """
        self._refuse_if_over(dead_ok=True)
        self._send(command_line("GET FULL VARIABLE", [expression + self._nonce]))
        return self._until_mark()[0]

    def _raw_value(self, command: str, *args: object) -> str | None:
        """The value of an answer "1 (…)" that cannot carry our mark itself: everything up to the mark's own answer.
        None for another answer."""
        line = command_line(command, args)
        self._refuse_if_over(dead_ok=True)
        self._send(line)
        deadline = time.monotonic() + PLAIN_SECONDS + self._slack
        opening = "200 result=1 ("
        while (first := self._line(deadline)) == "HANGUP":
            self._hung_up = True
        if not first.startswith(opening):
            if (reply := self._understood(first, deadline)) is not None:
                self._judged(reply, dead_ok=True)
            return None
        self._send(command_line("GET FULL VARIABLE", [self._nonce]))
        lines = [first.removeprefix(opening)]
        while (following := self._line(deadline)) != f"{opening}{self._nonce})":
            lines.append(following)
            if sum(map(len, lines)) > MAX_VALUE:
                raise self._broken(ProtocolError("a value without end"))
        while len(lines) > 1 and lines[-1] == "HANGUP":  # after the value: its own last line ends with a parenthesis
            self._hung_up = True
            lines.pop()
        return "\n".join(lines).removesuffix(")")

    def _until_mark(self) -> tuple[str, list[Reply]]:
        """Read up to the answer with our mark: its value, and the answers to interrupted commands before it."""
        deadline = time.monotonic() + PLAIN_SECONDS + self._slack
        opening, end = "200 result=1 (", f"{self._nonce})"
        earlier: list[Reply] = []
        for _ in range(MAX_STRAY_LINES):
            line = self._line(deadline)
            if line.startswith(opening):
                while not line.endswith(end):
                    if len(line) > MAX_VALUE:
                        raise self._broken(ProtocolError("a value without end"))
                    line += "\n" + self._line(deadline)
                return line[len(opening) : -len(end)], earlier
            reply = self._understood(line, deadline)
            if reply is not None:
                if reply.code == 511:
                    self._judged(reply, dead_ok=True)
                earlier.append(reply)  # of an interrupted command, or the second answer of an EXEC
        raise self._broken(ProtocolError("too many lines that are no answer"))

    def _wakeable(self, command: str, *args: object, seconds: float) -> Reply | None:
        """Like ``_command``, but ``wake`` ends it early: then None, unless the answer was quicker.

        res_agi stops playing or waiting when a new command comes in, with or without an answer to the old one;
        the new one is our mark, whose answer cannot be confused with any other.
        """
        line = command_line(command, args)
        self._refuse_if_over(dead_ok=False)
        handle = self._wake_handle()
        self._send(line)
        deadline = time.monotonic() + seconds + self._slack
        try:
            self._wait_line(deadline, handle)
            reply: Reply | None = self._reply(deadline)
        except Woken:
            self._wake_taken()
            self._send(command_line("GET FULL VARIABLE", [self._nonce]))
            earlier = self._until_mark()[1]
            reply = earlier[-1] if earlier else None
        if reply is None or reply.result == "1":  # 1 is no key: WAIT FOR DIGIT was interrupted
            if self._hung_up:
                raise Hangup("line")
            return None
        return self._judged(reply, dead_ok=False)
