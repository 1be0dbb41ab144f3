"""``call-record/v1``: what the telephone side tells the ticket app about a finished call."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

CALL_ID_PATTERN = r"^[a-z][a-z0-9]{0,15}-\d{1,12}\.\d{1,10}$"


class Outcome(StrEnum):
    """How a call ended, seen from the caller."""

    TALKED = "talked"  # spoke with a person
    ABANDONED_IVR = "abandoned_ivr"  # hung up before asking for a person
    ABANDONED_WAITING = "abandoned_waiting"  # hung up while waiting for a person
    MESSAGE = "message"  # left a message
    NOT_SERVED = "not_served"  # waited, reached nobody, left no message
    EMERGENCY = "emergency"  # handed to an emergency line
    BLOCKED = "blocked"  # restricted number (R51)
    SELF_SERVED = "self_served"  # the flow answered it
    FAILED = "failed"  # our fault


class EndedBy(StrEnum):
    CALLER = "caller"
    AGENT = "agent"
    FLOW = "flow"
    SYSTEM = "system"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AgentPart(_Part):
    """One stay of an agent in the call's room."""

    agent_id: int
    number: str = Field(description="agent number (工号)")
    name: str
    joined_at: AwareDatetime
    left_at: AwareDatetime | None = None
    left_because: str | None = None


class RecordingPart(_Part):
    """A finished recording; the audio itself stays in the store."""

    recording_id: str
    kind: Literal["talk", "message"]
    media_type: str
    channels: int = Field(ge=1, le=2, description="2: left is the caller, right is what the caller heard")
    seconds: float = Field(ge=0)
    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    started_at: AwareDatetime


class EventPart(_Part):
    seq: int = Field(ge=1)
    at: AwareDatetime
    kind: str
    data: dict[str, Any] = Field(default_factory=dict)


class CallRecordV1(_Part):
    """A finished call. ``revision`` grows when something was learnt later; receivers keep the highest."""

    schema_: Literal["call-record/v1"] = Field("call-record/v1", alias="schema")
    call_id: str = Field(pattern=CALL_ID_PATTERN, max_length=64)
    revision: int = Field(ge=1)
    node: str
    direction: Literal["inbound", "outbound"] = "inbound"
    caller_number: str = Field(max_length=40, description="as presented by the trunk; empty when withheld")
    called_number: str = Field(max_length=40)
    language: str = Field(max_length=8)
    flow_id: str | None = None
    flow_version: str | None = None
    started_at: AwareDatetime
    answered_at: AwareDatetime | None = None
    queued_at: AwareDatetime | None = None
    connected_at: AwareDatetime | None = None
    ended_at: AwareDatetime
    wait_seconds: float | None = Field(None, ge=0, description="from asking for a person to talking with one")
    talk_seconds: float = Field(0, ge=0)
    outcome: Outcome
    ended_by: EndedBy
    agents: list[AgentPart] = Field(default_factory=list)
    recordings: list[RecordingPart] = Field(default_factory=list)
    events: list[EventPart] = Field(default_factory=list)

    def body(self) -> bytes:
        """The JSON that is sent and signed."""
        return self.model_dump_json(by_alias=True).encode()


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """Seconds from start to end, never negative; None when either is unknown."""
    if start is None or end is None:
        return None
    return max(0.0, (end - start).total_seconds())
