"""A browser phone's signalling without a browser: SIP over WebSocket, enough to register and to take a call.

It offers no real audio (its DTLS never begins), so a call on it is answered but silent; Asterisk's ``rtp_timeout``
ends it after a while, as it does for a browser that has vanished.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

FINGERPRINT = ":".join(["AB"] * 32)


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def header(message: str, name: str) -> str:
    match = re.search(rf"^{name}:\s*(.*?)\r?$", message, re.MULTILINE | re.IGNORECASE)
    return match[1] if match else ""


class WsPhone:
    """``invite`` decides on a call: "answer", "ring", or a SIP status as "486 Busy Here"."""

    def __init__(self, url: str, name: str, password: str, *, invite: str = "ring") -> None:
        self.url, self.name, self.password, self.invite = url, name, password, invite
        self._stack = contextlib.ExitStack()
        self._socket: ClientConnection | None = None
        self._thread = threading.Thread(target=self._listen, name=f"phone-{name}", daemon=True)
        self._changed = threading.Condition()
        self._call_id = uuid.uuid4().hex
        self._sequence = 0
        self._invite = ""  # the INVITE that is not answered yet, or was
        self._tag = uuid.uuid4().hex[:8]
        self.register_status = ""
        self.rung = self.cancelled = self.answered = self.ended = False
        self.caller_shown = ""

    # -- for the test --

    def register(self, seconds: float = 5.0) -> str:
        """Connect and register; returns the final status line."""
        dialled = connect(self.url, subprotocols=[Subprotocol("sip")], open_timeout=seconds, close_timeout=2)
        self._socket = self._stack.enter_context(dialled)
        self._thread.start()
        self._register("")
        self.wait_until(lambda: self.register_status != "", seconds)
        return self.register_status

    def wait_until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, seconds), "the phone sees nothing of it"

    def answer(self) -> None:
        self._send(self._response(self._invite, "200 OK", body=self._sdp()))

    def reject(self, status: str = "603 Decline") -> None:
        self._send(self._response(self._invite, status))

    def hang_up(self) -> None:
        """BYE."""
        source, target = header(self._invite, "From"), header(self._invite, "To")
        self._sequence += 1
        uri = re.search(r"<([^>]+)>", header(self._invite, "Contact"))
        assert uri is not None
        self._send(
            f"BYE {uri[1]} SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK{uuid.uuid4().hex}\r\n"
            f"Max-Forwards: 70\r\nTo: {source}\r\nFrom: {target};tag={self._tag}\r\n"
            f"Call-ID: {header(self._invite, 'Call-ID')}\r\nCSeq: {self._sequence} BYE\r\nContent-Length: 0\r\n\r\n"
        )

    def vanish(self) -> None:
        """The browser is gone, without a word."""
        self._stack.close()
        if self._thread.is_alive():
            self._thread.join(5)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.vanish()

    # -- SIP --

    def _listen(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(ConnectionClosed):
            for message in self._socket:
                text = message if isinstance(message, str) else message.decode()
                with self._changed:
                    self._handle(text)
                    self._changed.notify_all()

    def _send(self, message: str) -> None:
        assert self._socket is not None
        self._socket.send(message)

    def _handle(self, text: str) -> None:
        start = text.split("\r\n", 1)[0]
        if start.startswith("SIP/2.0"):
            self._on_response(start, text)
            return
        method = start.split(" ")[0]
        if method == "INVITE":
            self._invite, self.rung = text, True
            self.caller_shown = header(text, "From")
            self._send(self._response(text, "180 Ringing"))
            if self.invite == "answer":
                self.answer()
            elif self.invite != "ring":
                self.reject(self.invite)
        elif method == "CANCEL":
            self.cancelled = True
            self._send(self._response(text, "200 OK"))
            self._send(self._response(self._invite, "487 Request Terminated"))
        elif method == "ACK":
            self.answered = True
        else:
            self.ended = self.ended or method == "BYE"
            self._send(self._response(text, "200 OK"))

    def _on_response(self, start: str, text: str) -> None:
        if "REGISTER" not in header(text, "CSeq"):
            self.ended = True
        elif " 401 " in start and self._sequence == 1:
            self._register(self._authorization(text))
        else:
            self.register_status = start.removeprefix("SIP/2.0 ")

    def _register(self, authorization: str) -> None:
        self._sequence += 1
        self._send(
            f"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/WS x.invalid;branch=z9hG4bK{uuid.uuid4().hex}\r\n"
            f"Max-Forwards: 70\r\nTo: <sip:{self.name}@127.0.0.1>\r\nFrom: <sip:{self.name}@127.0.0.1>;tag=1\r\n"
            f"Call-ID: {self._call_id}\r\nCSeq: {self._sequence} REGISTER\r\n"
            f"Contact: <sip:{self.name}@x.invalid;transport=ws>;expires=300\r\n{authorization}Content-Length: 0\r\n\r\n"
        )

    def _authorization(self, challenge: str) -> str:
        found = dict(re.findall(r'(\w+)="([^"]*)"', header(challenge, "WWW-Authenticate")))
        secret = md5(f"{self.name}:{found['realm']}:{self.password}")
        digest = md5(f"{secret}:{found['nonce']}:00000001:abc:auth:{md5('REGISTER:sip:127.0.0.1')}")
        opaque = f',opaque="{found["opaque"]}"' if "opaque" in found else ""
        return (
            f'Authorization: Digest username="{self.name}",realm="{found["realm"]}",nonce="{found["nonce"]}",'
            f'uri="sip:127.0.0.1",response="{digest}",algorithm=MD5,cnonce="abc",qop=auth,nc=00000001{opaque}\r\n'
        )

    def _response(self, request: str, status: str, body: str = "") -> str:
        vias = "".join(f"{line}\r\n" for line in request.split("\r\n") if line.lower().startswith("via:"))
        target = header(request, "To")
        if "tag=" not in target and not status.startswith("100"):
            target += f";tag={self._tag}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        return (
            f"SIP/2.0 {status}\r\n{vias}From: {header(request, 'From')}\r\nTo: {target}\r\n"
            f"Call-ID: {header(request, 'Call-ID')}\r\nCSeq: {header(request, 'CSeq')}\r\n"
            f"Contact: <sip:{self.name}@x.invalid;transport=ws>\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def _sdp(self) -> str:
        """An answer that a browser might give."""
        mid = re.search(r"^a=mid:(\S+)", self._invite, re.MULTILINE)
        lines = [
            "v=0",
            "o=- 1 1 IN IP4 127.0.0.1",
            "s=-",
            "t=0 0",
            f"a=group:BUNDLE {mid[1] if mid else '0'}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 8",
            "c=IN IP4 127.0.0.1",
            "a=rtpmap:8 PCMA/8000",
            "a=ice-ufrag:abcd",
            "a=ice-pwd:abcdefghijklmnopqrstuvwx",
            "a=candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host",
            f"a=fingerprint:sha-256 {FINGERPRINT}",
            "a=setup:active",
            f"a=mid:{mid[1] if mid else '0'}",
            "a=rtcp-mux",
            "a=sendrecv",
            "",
        ]
        return "\r\n".join(lines)
