"""What the rest of the house may ask of the telephone system, as a protocol; ``agi.control`` implements it over AMI.

Every method raises core.errors.Unavailable when Asterisk does not answer in time, and nothing else that a caller
must expect. All of them are safe to call twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


def room_name(call_id: str) -> str:
    """Name of the ConfBridge room of a call."""
    return f"call-{call_id}"


def phone_name(agent_id: int) -> str:
    """Name of an agent's phone: its PJSIP endpoint, its address of record and its user name."""
    return f"agent{agent_id}"


class RingResult(StrEnum):
    """How ringing a phone ended."""

    ANSWERED = "answered"
    REJECTED = "rejected"  # the agent pressed "reject" or is busy
    NO_ANSWER = "no_answer"  # rang to the end
    UNREACHABLE = "unreachable"  # no phone registered, or the far end could not be reached
    CANCELLED = "cancelled"  # we gave up first


class LeftBecause(StrEnum):
    """Why a party's phone left the room."""

    HUNG_UP = "hung_up"  # the party itself
    LOST = "lost"  # its phone vanished: browser closed, network gone
    REMOVED = "removed"  # we took it out
    UNKNOWN = "unknown"  # the manager link was down


class Ring(Protocol):
    """A phone that is being rung, or has been."""

    channel: str

    def wait(self, seconds: float) -> RingResult | None:
        """Wait up to ``seconds`` for the outcome; None while it still rings."""
        ...

    def cancel(self) -> None:
        """Stop ringing; if the party has just answered, take it out of the room again."""
        ...

    def left(self, seconds: float) -> LeftBecause | None:
        """After ANSWERED: wait up to ``seconds`` until the party has left the room; None while it is there."""
        ...


@dataclass(frozen=True)
class Presence:
    """What Asterisk itself says is going on, for reconciliation after the link was down."""

    channels: frozenset[str]  # unique ids of all live channels
    rooms: dict[str, tuple[str, ...]]  # room name → channel names in it
    phones: frozenset[str]  # names of phones registered now


class CallControl(Protocol):
    def provision_phone(self, phone: str, password: str) -> None:
        """Create the phone, or give it a new password: it can register at once."""
        ...

    def remove_phone(self, phone: str) -> None:
        """The phone's registration and account end; a call on it goes on."""
        ...

    def ring(self, phone: str, call_id: str, caller_number: str, seconds: float) -> Ring:
        """Ring a phone; when it is answered, it stands in the call's room as a marked party."""
        ...

    def hang_up(self, call_id: str) -> None:
        """End the whole call: the caller's channel and the room."""
        ...

    def close_room(self, call_id: str) -> None:
        """Take everybody out of the call's room."""
        ...

    def remove_party(self, call_id: str, phone: str) -> None:
        """Take one phone out of the call's room."""
        ...

    def drop_lost(self, call_id: str, phone: str) -> None:
        """The phone has vanished: end its leg so that its Ring.left tells LOST."""
        ...

    def hold(self, call_id: str, phone: str, on: bool) -> None:
        """On: the caller hears music and neither hears the other. Off: they talk again."""
        ...

    def fallback_member(self, phone: str, *, present: bool, paused: bool = False) -> None:
        """Keep Asterisk's own queue in step, so that callers reach agents even with our programs down."""
        ...

    def presence(self) -> Presence:
        """What is going on right now in Asterisk."""
        ...
