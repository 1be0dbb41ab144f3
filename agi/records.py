"""From the ledger to ``call-record/v1``, and its delivery to the ticket app (R53; ARCHITECTURE, decision 6)."""

from __future__ import annotations

from typing import Any

import httpx

from core import signing
from core.clock import Clock
from core.errors import NotFound, Unavailable
from core.outbox import PermanentFailure
from core.records import (
    AgentPart,
    CallRecordV1,
    EndedBy,
    EventPart,
    Outcome,
    RecordingPart,
    seconds_between,
)
from recordings.models import Recording
from recordings.service import Recordings
from routing.ledger import Kind, Ledger
from routing.models import Call, CallEvent

TIMEOUT_SECONDS = 10.0


def build(call: Call, events: list[CallEvent], recordings: list[Recording]) -> CallRecordV1:
    """The record of an ended call. Pure."""
    if call.ended_at is None or call.outcome is None or call.ended_by is None:
        raise ValueError(f"call {call.call_id} has not ended")
    return CallRecordV1(
        schema="call-record/v1",
        call_id=call.call_id,
        revision=call.revision,
        node=call.node,
        caller_number=call.caller_number,
        called_number=call.called_number,
        language=call.language,
        flow_id=call.flow_id,
        flow_version=call.flow_version,
        started_at=call.started_at,
        answered_at=call.answered_at,
        queued_at=call.queued_at,
        connected_at=call.connected_at,
        ended_at=call.ended_at,
        wait_seconds=seconds_between(call.queued_at, call.connected_at),
        talk_seconds=call.talk_seconds,
        outcome=Outcome(call.outcome),
        ended_by=EndedBy(call.ended_by),
        agents=_agents(events),
        recordings=[
            RecordingPart(
                recording_id=row.id,
                kind="message" if row.kind == "message" else "talk",
                media_type=row.media_type,
                channels=row.channels,
                seconds=row.seconds,
                bytes=row.bytes,
                sha256=row.sha256,
                started_at=row.started_at,
            )
            for row in recordings
            if row.state == "stored" and row.sha256 is not None
        ],
        events=[EventPart(seq=row.seq, at=row.at, kind=row.kind, data=row.data) for row in events],
    )


def _agents(events: list[CallEvent]) -> list[AgentPart]:
    parts: list[AgentPart] = []
    open_parts: dict[int, int] = {}
    for event in events:
        data: dict[str, Any] = event.data
        if event.kind == Kind.JOINED:
            open_parts[data["agent_id"]] = len(parts)
            parts.append(
                AgentPart(
                    agent_id=data["agent_id"],
                    number=str(data.get("number", "")),
                    name=str(data.get("name", "")),
                    joined_at=event.at,
                )
            )
        elif event.kind == Kind.LEFT and (index := open_parts.pop(data["agent_id"], None)) is not None:
            parts[index] = parts[index].model_copy(update={"left_at": event.at, "left_because": data.get("because")})
    return parts


class RecordPusher:
    """Outbox handler of ``call.ended``: store the recordings, build the record, PUT it signed."""

    def __init__(
        self, ledger: Ledger, recordings: Recordings, clock: Clock, url: str, secret: str, client: httpx.Client
    ) -> None:
        self.ledger, self.recordings, self.clock = ledger, recordings, clock
        self.url, self.secret, self.client = url.rstrip("/"), secret, client

    def __call__(self, payload: dict[str, Any]) -> None:
        """Raises to be tried again; PermanentFailure when the ticket app refuses the record for good."""
        call_id = str(payload["call_id"])
        recordings = self.recordings.finish(call_id)
        call = self.ledger.get(call_id)
        if call is None:
            raise NotFound(f"no call {call_id}", id="no-such-call")
        body = build(call, self.ledger.events(call_id), recordings).body()
        headers = {"Content-Type": "application/json", **signing.headers(self.secret, self.clock.now(), body)}
        try:
            answer = self.client.put(
                f"{self.url}/api/v1/call-records/{call_id}", content=body, headers=headers, timeout=TIMEOUT_SECONDS
            )
        except httpx.HTTPError as exc:
            raise Unavailable(f"ticket app does not answer: {exc.__class__.__name__}") from exc
        if answer.status_code in (400, 413, 422):
            raise PermanentFailure(f"refused with {answer.status_code}: {answer.text[:500]}")
        if not answer.is_success:
            raise Unavailable(f"ticket app answered {answer.status_code}")
