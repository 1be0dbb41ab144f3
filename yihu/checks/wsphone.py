"""Registers a browser phone without a browser: SIP over WebSocket (RFC 7118) with digest (RFC 3261, 22.4)."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from types import TracebackType
from typing import Self

from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

DOMAIN = "yihu.invalid"  # what Via and Contact of a browser say, which has no address (RFC 7118, 5)


class Refused(Exception):
    """The phone could not register; the text says why."""


class WebSocketPhone:
    """A phone named ``name`` at the WebSocket ``url``. Everything it does takes at most ``seconds``."""

    def __init__(self, url: str, name: str, password: str, seconds: float = 5.0) -> None:
        self.url, self.name, self._password = url, name, password
        self._end = time.monotonic() + seconds
        self._call_id, self._tag = secrets.token_hex(12), secrets.token_hex(4)
        self._sequence = 0
        try:
            self._socket: ClientConnection = connect(
                url, subprotocols=[Subprotocol("sip")], open_timeout=seconds, close_timeout=1, proxy=None
            )
        except (OSError, WebSocketException) as exc:
            raise Refused(f"no WebSocket at {url}: {exc}") from exc

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def register(self, expires: int = 60) -> None:
        """Register for ``expires`` seconds; 0 ends the registration. Raises Refused."""
        answer = self._ask(expires, "")
        if self._code(answer) == 401:
            answer = self._ask(expires, self._authorization(answer))
        if self._code(answer) != 200:
            raise Refused(f"REGISTER: {answer.splitlines()[0]}")

    def _ask(self, expires: int, extra: str) -> str:
        self._sequence += 1
        uri = f"sip:{self.name}@{DOMAIN}"
        lines = (
            f"REGISTER sip:{DOMAIN} SIP/2.0",
            f"Via: SIP/2.0/WS {DOMAIN};branch=z9hG4bK{secrets.token_hex(8)}",
            "Max-Forwards: 70",
            f"From: <{uri}>;tag={self._tag}",
            f"To: <{uri}>",
            f"Call-ID: {self._call_id}",
            f"CSeq: {self._sequence} REGISTER",
            f"Contact: <{uri};transport=ws>;expires={expires}",
            *([extra] if extra else []),
            "Content-Length: 0",
        )
        try:
            self._socket.send("\r\n".join(lines) + "\r\n\r\n")
            while True:
                got = self._socket.recv(timeout=max(0.01, self._end - time.monotonic()))
                text = got if isinstance(got, str) else got.decode("utf-8", "replace")
                # Asterisk's own requests (OPTIONS, NOTIFY) may come in between.
                if text.startswith("SIP/2.0 ") and self._code(text) >= 200:
                    return text
        except TimeoutError as exc:
            raise Refused("no answer to REGISTER") from exc
        except (OSError, WebSocketException) as exc:
            raise Refused(f"the connection broke: {exc}") from exc

    @staticmethod
    def _code(answer: str) -> int:
        return int(answer.split(" ", 2)[1])

    def _authorization(self, challenge: str) -> str:
        line = re.search(r"^WWW-Authenticate:\s*Digest\s+(.*?)\r?$", challenge, re.MULTILINE | re.IGNORECASE)
        asked = dict(re.findall(r'(\w+)="?([^",]*)"?', line[1])) if line else {}
        if "nonce" not in asked:
            raise Refused("the challenge cannot be read")
        uri, client = f"sip:{DOMAIN}", secrets.token_hex(8)

        def md5(text: str) -> str:
            return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

        secret = md5(f"{self.name}:{asked['realm']}:{self._password}")
        proof = md5(f"{secret}:{asked['nonce']}:00000001:{client}:auth:{md5(f'REGISTER:{uri}')}")
        parts = {
            "username": self.name,
            "realm": asked["realm"],
            "nonce": asked["nonce"],
            "uri": uri,
            "response": proof,
            "cnonce": client,
        } | ({"opaque": asked["opaque"]} if "opaque" in asked else {})
        quoted = ", ".join(f'{key}="{value}"' for key, value in parts.items())
        return f"Authorization: Digest {quoted}, algorithm=MD5, qop=auth, nc=00000001"
