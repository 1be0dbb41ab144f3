"""What a flow needs from the world: protocols implemented over AGI, by the tests and by a simulator.

The engine and the nodes know nothing else of telephones, databases or time. Rules for every method of a port:

* :class:`ivr_flows.errors.CallerGone` is raised by any method of :class:`Line` as soon as the caller is gone;
* any other exception means that the port failed; the engine then takes the flow's error path;
* nothing here is called from two threads at once for the same call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.policy import Policy

ALL_KEYS = "0123456789*#"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt of the catalogue in one language; ``PromptStore.path`` turns it into a file."""

    id: str
    language: str


# -- input ------------------------------------------------------------------------------------------------


class InputStatus(StrEnum):
    OK = "ok"  # the caller gave a value that was asked for
    NO_INPUT = "no_input"  # the time was over
    NO_MATCH = "no_match"  # the caller gave something, but nothing that was asked for


class InputMode(StrEnum):
    NONE = "none"
    KEY = "key"
    SPEECH = "speech"


@dataclass(frozen=True, slots=True)
class Input:
    """What a caller answered; one shape for keys and speech.

    ``value`` is the key, or the words; empty when nothing came. ``confidence`` is 0 to 1; a key is certain.
    """

    status: InputStatus
    mode: InputMode = InputMode.NONE
    value: str = ""
    confidence: float = 0.0

    @classmethod
    def key(cls, key: str) -> Input:
        return cls(InputStatus.OK, InputMode.KEY, key, 1.0)


NO_INPUT = Input(InputStatus.NO_INPUT)


# -- reaching somebody ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConnectRequest:
    """Asking for a person."""

    queue: str
    priority: int  # higher is served first
    max_wait_seconds: float
    language: str  # of the person wanted
    notice_languages: tuple[str, ...]  # in which waiting notices are spoken, one after the other
    keys: str = ""  # keys that end the waiting (never the talking)


class ConnectOutcome(StrEnum):
    TALKED = "talked"  # the caller has talked with a person and is back in the flow
    NO_AGENTS = "no_agents"  # nobody is signed in who could take the call
    TIMEOUT = "timeout"  # max_wait_seconds are over
    KEY = "key"  # one of the request's keys was pressed while waiting


@dataclass(frozen=True, slots=True)
class ConnectResult:
    outcome: ConnectOutcome
    key: str = ""  # which, when outcome is KEY


class EmergencyOutcome(StrEnum):
    TALKED = "talked"  # the emergency line answered; that talk is over
    UNREACHED = "unreached"  # it did not answer, or could not be dialled


@dataclass(frozen=True, slots=True)
class MessageResult:
    """A recorded message. ``saved`` is False when the caller said nothing; then there is no recording."""

    saved: bool
    seconds: float
    recording_id: str = ""
    key: str = ""  # the key that ended the recording, if one did


# -- the ports --------------------------------------------------------------------------------------------


class Line(Protocol):
    """The caller's line."""

    def answer(self) -> None:
        """Take the call. No effect when it is answered already."""
        ...

    def play(self, prompts: Sequence[Prompt], keys: str = "") -> Input:
        """Play the prompts one after the other.

        A key out of ``keys`` stops the audio at once and is returned (``Input.key``); other keys do nothing. When
        all has been played: NO_INPUT. A key pressed just before, which nobody has read yet, counts.
        """
        ...

    def read_key(self, seconds: float, keys: str) -> Input:
        """Wait in silence up to ``seconds`` for a key out of ``keys``; other keys do nothing. Else NO_INPUT."""
        ...

    def record_message(self, max_seconds: float, silence_seconds: float, keys: str) -> MessageResult:
        """Record the caller until a key out of ``keys``, ``silence_seconds`` of silence, or ``max_seconds``.

        The recording is kept for the ticket app; also when the caller hangs up while speaking (CallerGone is
        raised after it was kept).
        """
        ...

    def connect(self, request: ConnectRequest) -> ConnectResult:
        """Wait for a person and stay with that person until the talk is over.

        While waiting the caller hears music and, in ``notice_languages``, the prompts ``wait-busy``,
        ``wait-connecting``, ``wait-agent-lost``. An agent who rejects or does not answer, or whose phone is lost
        in mid-talk, is dealt with inside: the caller keeps the place and gets the next agent. What is said to a
        caller who was not served is the flow's business, not the port's.
        """
        ...

    def emergency(self, number: str) -> EmergencyOutcome:
        """Dial an emergency line (110, 119, 120, 122; a simulator unless live) and stay until that talk is over."""
        ...

    def hang_up(self) -> None:
        """End the call. No effect when it has ended; does not raise CallerGone."""
        ...


class Trace(Protocol):
    """What becomes ledger events. A failing trace is logged and never stops a call."""

    def node_entered(self, flow_id: str, version: str, node_id: str, node_type: str) -> None: ...

    def digit(self, key: str) -> None: ...

    def language(self, language: str) -> None:
        """The caller has chosen this language."""
        ...

    def fault(self, node_id: str, what: str) -> None:
        """A node failed; the flow goes on by its error path. ``what`` has no personal data."""
        ...


class Numbers(Protocol):
    """Policy numbers in force; ``core.policy.Policies`` is one."""

    def number(self, policy: Policy) -> float: ...

    def text(self, policy: Policy) -> str: ...
