"""A manager interface for fast tests: logs clients in, answers the actions that we use, sends events on demand.

It keeps a small picture of Asterisk (channels, rooms, phones, queue, database) that the actions change as Asterisk
would. Faults on demand: silence, disconnects, answers in pieces.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from tests.fake_asterisk.switch import Action, Switch

GREETING = b"Asterisk Call Manager/9.0.0\r\n"


def render(headers: dict[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n"


class FakeAmi:
    """``with FakeAmi() as ami``: listens on ``ami.port``; ``ami.switch`` is the picture behind it."""

    def __init__(self, *, port: int = 0, username: str = "yihu", secret: str = "secret", booted: bool = True) -> None:
        self.username, self.secret, self.booted = username, secret, booted
        self.actions: list[Action] = []
        self.logins = 0
        self.silent = False  # takes everything, answers nothing
        self.refuse = False  # closes each new connection at once
        self.piece: int | None = None  # bytes a chunk
        self.before: Callable[[Action], None] | None = None  # called with each action before it is answered
        self._changed = threading.Condition(threading.RLock())
        self.switch = Switch(self.event, self._changed)
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = int(self._listener.getsockname()[1])
        self._closing = False

    # -- for the test --

    def event(self, name: str, **headers: str) -> None:
        """Send an event to everybody who is logged in."""
        self.raw(render({"Event": name, "Privilege": "call,all", **headers}))

    def raw(self, data: bytes) -> None:
        with self._changed:
            for client in list(self._clients):
                self._send(client, data)

    def disconnect(self) -> None:
        """Break every connection."""
        with self._changed:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)
            self._clients.clear()

    def boot(self) -> None:
        self.booted = True
        self.event("FullyBooted", Status="Fully Booted")

    def sent(self, name: str) -> list[Action]:
        """Actions of this name that have come in so far."""
        with self._changed:
            return [action for action in self.actions if action["Action"] == name]

    def wait_for(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        """Wait for something that an action or a log-in changes. Raises AssertionError when it does not come."""
        with self._changed:
            assert self._changed.wait_for(condition, seconds), f"last actions: {self.actions[-5:]}"

    def start(self) -> Self:
        thread = threading.Thread(target=self._accept, name="fake-ami", daemon=True)
        self._threads.append(thread)
        thread.start()
        return self

    def stop(self) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect()
        for thread in self._threads:
            thread.join(10)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- connections --

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.refuse or self._closing:
                client.close()
                continue
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(client,), name="fake-ami-client", daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        buffer = b""
        try:
            self._send(client, GREETING)
            while data := client.recv(65536):
                buffer += data
                while b"\r\n\r\n" in buffer:
                    text, _, buffer = buffer.partition(b"\r\n\r\n")
                    self._action(client, parse(text.decode()))
        except OSError:
            pass
        finally:
            with self._changed:
                if client in self._clients:
                    self._clients.remove(client)
            client.close()

    def _send(self, client: socket.socket, data: bytes) -> None:
        if self.silent:
            return
        with contextlib.suppress(OSError):
            for start in range(0, len(data), self.piece or len(data)):
                client.sendall(data[start : start + (self.piece or len(data))])

    def _action(self, client: socket.socket, action: Action) -> None:
        if self.before is not None:
            self.before(action)
        with self._changed:
            self.actions.append(action)
            if action["Action"] == "Login":
                self._log_in(client, action)
            else:
                for headers in self.switch.act(action):
                    if action["ActionID"]:
                        headers = {**headers, "ActionID": action["ActionID"]}
                    self._send(client, render(headers))
                self.switch.after()
            self._changed.notify_all()

    def _log_in(self, client: socket.socket, action: Action) -> None:
        right = (action["Username"], action["Secret"]) == (self.username, self.secret)
        response = {"Response": "Success" if right else "Error", "ActionID": action["ActionID"]}
        response["Message"] = "Authentication accepted" if right else "Authentication failed"
        self._send(client, render(response))
        if right:
            self.logins += 1
            self._clients.append(client)
            if self.booted:
                self._send(client, render({"Event": "FullyBooted", "Status": "Fully Booted"}))


def parse(text: str) -> Action:
    action = Action()
    for line in text.split("\r\n"):
        name, _, value = line.partition(":")
        action.add(name.strip(), value.strip())
    return action
