"""A few words with Asterisk's manager interface over a plain socket, for the supervisor's own questions.

The call programs use :mod:`agi.ami`; the supervisor must not depend on what it supervises.
"""

from __future__ import annotations

import socket
import time
from types import TracebackType
from typing import Self

from core.errors import Unavailable
from core.secrets import secret
from core.settings import Settings
from yihu.asterisk_config import AMI_USER

LOOPBACK = "127.0.0.1"
MAX_ANSWER = 1_000_000  # bytes


class Manager:
    """A logged-in connection; each question takes at most ``seconds``. Raises Unavailable when it does not answer."""

    def __init__(self, settings: Settings, seconds: float = 2.0) -> None:
        self.seconds = seconds
        self._data = b""
        try:
            self._socket = socket.create_connection((LOOPBACK, settings.port("ami_port")), timeout=seconds)
        except OSError as exc:
            raise Unavailable(f"Asterisk's manager port does not answer: {exc}") from exc
        try:
            answer = self.ask("Login", Username=AMI_USER, Secret=secret(settings.home, "ami"))
            if answer.get("Response") != "Success":
                raise Unavailable("Asterisk's manager refuses the log-in: another Asterisk has this port")
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def ask(self, action: str, **headers: str) -> dict[str, str]:
        """Send an action and return its response (events in between are passed over)."""
        fields = {"Action": action, "ActionID": "yihu-supervisor", **headers}
        if any(mark in value for value in fields.values() for mark in "\r\n"):
            raise ValueError("a line break in a manager action")
        text = "".join(f"{key}: {value}\r\n" for key, value in fields.items()) + "\r\n"
        try:
            self._socket.sendall(text.encode())
        except OSError as exc:
            raise Unavailable(f"Asterisk's manager does not answer: {exc}") from exc
        deadline = time.monotonic() + self.seconds
        while True:
            message = self._message(deadline)
            if "Response" in message and message.get("ActionID") == "yihu-supervisor":
                return message

    def silence(self) -> None:
        """No more events on this connection."""
        self.ask("Events", EventMask="off")

    def wait_for(self, event: str) -> None:
        """Wait until ``event`` comes. Raises Unavailable when it does not in time."""
        deadline = time.monotonic() + self.seconds
        while self._message(deadline).get("Event") != event:
            pass

    def _message(self, deadline: float) -> dict[str, str]:
        while b"\r\n\r\n" not in self._data:
            left = deadline - time.monotonic()
            if left <= 0 or len(self._data) > MAX_ANSWER:
                raise Unavailable("Asterisk's manager does not answer in time")
            self._socket.settimeout(left)
            try:
                more = self._socket.recv(65536)
            except OSError as exc:
                raise Unavailable(f"Asterisk's manager does not answer: {exc}") from exc
            if not more:
                raise Unavailable("Asterisk's manager closed the connection")
            self._data += more
        block, _, self._data = self._data.partition(b"\r\n\r\n")
        lines = block.decode("utf-8", "replace").split("\r\n")
        return {key.strip(): value.strip() for key, mark, value in (line.partition(":") for line in lines) if mark}


def live_calls(manager: Manager) -> int:
    """How many channels Asterisk has."""
    answer = manager.ask("CoreStatus")
    return int(answer.get("CoreCurrentCalls", "0") or 0)


def set_closed(manager: Manager, closed: bool) -> None:
    """Refuse new calls from the trunk (503, so that the telephone company can route them elsewhere), or take them."""
    manager.ask("Setvar", Variable="YIHU_CLOSED", Value="1" if closed else "")
