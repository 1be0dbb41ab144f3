"""A channel on one end of a socket pair, with Asterisk's bytes written beforehand at the other: tests of the wire."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Self

from agi.channel import Channel

ENV = b"agi_network: yes\nagi_network_script: call\nagi_request: agi://127.0.0.1/call\nagi_uniqueid: n1-1.1\n\n"


class RawCall:
    """``with RawCall(b"200 result=0\\n") as call``: ``call.channel`` finds these bytes as Asterisk's answers."""

    def __init__(self, answers: bytes = b"", *, env: bytes = ENV, end: bool = False, slack: float = 5.0) -> None:
        self.ours, self.asterisk = socket.socketpair()
        self.asterisk.settimeout(5)
        self.asterisk.sendall(env + answers)
        if end:
            self.asterisk.shutdown(socket.SHUT_WR)
        self.slack = slack

    def __enter__(self) -> Self:
        try:
            self.channel = Channel(self.ours, slack=self.slack)
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.channel.close()
        self._close()

    def _close(self) -> None:
        self.ours.close()
        self.asterisk.close()

    def answer(self, data: bytes) -> None:
        self.asterisk.sendall(data)

    def sent(self) -> bytes:
        """Everything the channel has written so far."""
        self.asterisk.setblocking(False)
        data = b""
        try:
            while more := self.asterisk.recv(65536):
                data += more
        except BlockingIOError:
            pass
        self.asterisk.settimeout(5)
        return data
