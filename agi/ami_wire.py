"""The manager interface on the wire: panoramisk's messages and protocol, with its faults taken out.

Replaced: decoding (UTF-8 may be split between chunks), header values (CR and LF injected actions), what happens at
the end of a connection (actions were sent a second time), when an action is answered (event lists, Originate), and
the bounds of everything that is kept.
"""

from __future__ import annotations

import codecs
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

from panoramisk.actions import Action
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.message import Message

from agi.errors import BadArgument
from core.errors import Unavailable

MAX_LINE = 1000  # bytes of a header; Asterisk drops longer ones (its buffer is 1024)
MAX_MESSAGE = 4 << 20  # characters of one message from Asterisk
MAX_LIST = 50_000  # events of one list
END = "\r\n\r\n"

_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")

HeaderValue = str | int | float | bool | list[str]


class AmiEvent:
    """An event; headers are found whatever their case, and a missing one is empty."""

    __slots__ = ("_headers", "name")

    def __init__(self, headers: Mapping[str, str | list[str]]) -> None:
        self._headers = {name.lower(): value for name, value in headers.items()}
        self.name = self["Event"]

    def __getitem__(self, header: str) -> str:
        return self.get(header)

    def get(self, header: str, default: str = "") -> str:
        """The header's (first) value."""
        value = self._headers.get(header.lower(), default)
        return value if isinstance(value, str) else value[0]

    def all(self, header: str) -> list[str]:
        """Each value of a header that is repeated."""
        value = self._headers.get(header.lower(), [])
        return [value] if isinstance(value, str) else list(value)

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers)

    def __repr__(self) -> str:  # values are callers' data and stay out of logs
        return f"<AmiEvent {self.name}>"


class AmiResponse(AmiEvent):
    """The answer to an action; ``events`` is the list that followed, if it was a list."""

    __slots__ = ("events",)

    def __init__(self, headers: Mapping[str, str | list[str]], events: tuple[AmiEvent, ...] = ()) -> None:
        super().__init__(headers)
        self.events = events

    @property
    def success(self) -> bool:
        return self["Response"] in ("Success", "Follows", "Goodbye")

    @property
    def message(self) -> str:
        return self["Message"]

    def __repr__(self) -> str:
        return f"<AmiResponse {self['Response']} {self.message!r}>"


class Pending(Action):  # type: ignore[misc]  # panoramisk has no types
    """An action on its way. Made in the loop's thread; ``done`` may be waited for in any."""

    def __init__(self, name: str, headers: Mapping[str, HeaderValue]) -> None:
        super().__init__({"Action": name, **checked(headers)})
        self.done: Future[AmiResponse] = Future()
        self._response: Message | None = None
        self._events: list[AmiEvent] = []

    def __str__(self) -> str:
        # As panoramisk writes it, but with the action first.
        lines = []
        for name, value in sorted(self.items(), key=lambda item: (item[0] != "Action", item[0])):
            lines += [f"{name}: {each}" for each in (value if isinstance(value, list) else [value])]
        return "\r\n".join(lines) + END

    def add_message(self, message: Message) -> bool:
        """Take a message that answers this action; True when that was all."""
        if "response" in message and self._response is None:
            self._response = message
            if str(message.get("EventList", "")).lower() != "start":
                return self._finish()
            return False
        ending = str(message.get("EventList", "")).lower()
        if ending.startswith("cancel"):
            return self.fail("the list was cut off")
        if ending == "complete":
            return self._finish()
        self._events.append(AmiEvent(plain(message)))
        if len(self._events) > MAX_LIST:
            return self.fail("the list has no end")
        return False

    def _finish(self) -> bool:
        if self._response is None:
            return self.fail("a list without an answer")
        if not self.done.done():
            self.done.set_result(AmiResponse(plain(self._response), tuple(self._events)))
        return True

    def fail(self, why: str) -> bool:
        if not self.done.done():
            self.done.set_exception(Unavailable(f"Asterisk: {why}", id="asterisk-unavailable"))
        return True


def checked(headers: Mapping[str, HeaderValue]) -> dict[str, str | list[str]]:
    """Headers as they may go on the wire. Raises BadArgument for what would be another header or action."""
    result: dict[str, str | list[str]] = {}
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or name.lower() in ("action", "actionid"):
            raise BadArgument(f"not a header of an action: {name!r}")
        values = [_text(each) for each in (value if isinstance(value, list) else [value])]
        for each in values:
            if any(char in each for char in "\0\r\n"):
                raise BadArgument(f"NUL, CR and LF cannot be sent in {name}")
            if len(f"{name}: {each}".encode("utf-8", "replace")) > MAX_LINE:
                raise BadArgument(f"{name} has more than {MAX_LINE} bytes")
        result[name] = values if isinstance(value, list) else values[0]
    return result


def _text(value: str | float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def plain(message: Message) -> dict[str, str | list[str]]:
    return {name: value for name, value in message.items() if isinstance(value, str | list)}


class Wire(AMIProtocol):  # type: ignore[misc]  # panoramisk has no types
    """One connection. ``on_event`` gets what answers no action; ``on_lost`` is called once at its end."""

    def __init__(self, on_event: Callable[[Message], None], on_lost: Callable[[], None]) -> None:
        self.on_event, self.on_lost = on_event, on_lost
        self.pending: dict[str, Pending] = {}
        self.transport: Any = None
        self.closed = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._text = ""
        self._log = logging.getLogger("agi.ami")

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def send(self, data: Pending, as_list: bool = False) -> Future[AmiResponse]:
        """Send an action once. Its future fails when the connection ends first."""
        if self.closed or self.transport is None or self.transport.is_closing():
            data.fail("the connection has ended")
            return data.done
        self.pending[str(data.id)] = data
        self.transport.write(str(data).encode("utf-8", "replace"))
        return data.done

    def forget(self, data: Pending) -> None:
        """Nobody waits for this answer any more; when it comes it is thrown away."""
        self.pending.pop(str(data.id), None)

    def data_received(self, data: bytes) -> None:
        searched = max(0, len(self._text) - len(END) + 1)
        self._text += self._decoder.decode(data)
        start = 0
        while (end := self._text.find(END, max(start, searched))) >= 0:
            self._message(self._text[start:end])
            start = end + len(END)
        self._text = self._text[start:]
        if len(self._text) > MAX_MESSAGE:
            self._log.error("a message from Asterisk without end")
            self.close()

    def _message(self, text: str) -> None:
        try:
            message = Message.from_line(text.strip())
            if message is not None:
                self.handle_message(message)
        except Exception:  # one odd message costs itself, not the connection
            self._log.exception("message from Asterisk not understood")

    def handle_message(self, message: Message) -> None:
        waiting = self.pending.get(message.id or "")
        # OriginateResponse and the like carry the id of an action that was answered long before: they are events.
        if waiting is not None:
            if waiting.add_message(message):
                self.pending.pop(str(waiting.id), None)
        elif "event" in message and "eventlist" not in message:
            self.on_event(message)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; every action without an answer fails, none is sent again."""
        if self.closed:
            return
        self.closed = True
        if self.transport is not None:
            self.transport.abort()
        pending, self.pending = self.pending, {}
        for action in pending.values():
            action.fail("the connection was lost")
        self.on_lost()
