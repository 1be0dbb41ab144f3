"""The call ledger: every step of a call, in order, with the outbox row of its end in the same transaction."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import outbox
from core.clock import Clock
from core.db import Database
from core.errors import NotFound
from core.records import EndedBy, Outcome
from routing.models import Call, CallEvent, WaitingCall

CALL_ENDED = "call.ended"  # outbox topic: payload {"call_id": …}


class Stage(StrEnum):
    """Where a living call is."""

    IVR = "ivr"
    WAITING = "waiting"
    TALKING = "talking"
    MESSAGE = "message"
    ENDED = "ended"


class Kind(StrEnum):
    """Kinds of ledger events; the data of each is given in brackets."""

    OFFERED = "offered"  # {caller, called}
    ANSWERED = "answered"
    NODE = "node"  # {node, type, flow}
    DIGIT = "digit"  # {digit}
    LANGUAGE = "language"  # {language}
    QUEUED = "queued"  # {queue, priority}
    NOTICE = "notice"  # {prompt}: what a waiting caller was told
    ASSIGNED = "assigned"  # {agent_id, number}
    DECLINED = "declined"  # {agent_id, why}
    JOINED = "joined"  # {agent_id, number, name}
    LEFT = "left"  # {agent_id, because}
    UNQUEUED = "unqueued"  # {why}
    EMERGENCY = "emergency"  # {line, result}
    RECORDING = "recording"  # {recording_id, kind, state}
    MESSAGE = "message"  # {recording_id, seconds}
    HOLD = "hold"  # {on, agent_id}
    SAFETY_NET = "safety_net"  # {stage}: our programs were down; Asterisk took the caller
    FAULT = "fault"  # {what}
    RECONCILED = "reconciled"  # {why}: learnt later from Asterisk's own log
    ENDED = "ended"  # {outcome, by}


class Ledger:
    """Writes and reads the ledger of one node. Times are UTC; ``at`` defaults to now."""

    def __init__(self, db: Database, clock: Clock, node: str) -> None:
        self.db, self.clock, self.node = db, clock, node

    def open(
        self, call_id: str, caller: str, called: str, *, at: datetime | None = None, source: str = "session"
    ) -> bool:
        """A call has come in. Returns False if it was known already (nothing is changed then)."""
        moment = at or self.clock.now()
        with self.db.write() as session:
            if session.get(Call, call_id) is not None:
                return False
            session.add(
                Call(
                    call_id=call_id,
                    node=self.node,
                    caller_number=caller,
                    called_number=called,
                    stage=Stage.IVR,
                    started_at=moment,
                )
            )
            session.flush()
            self._add(session, call_id, Kind.OFFERED, moment, source, {"caller": caller, "called": called})
        return True

    def append(
        self, call_id: str, kind: Kind, *, at: datetime | None = None, source: str = "session", **data: Any
    ) -> None:
        """Add a step. On a call that has ended, its record is made anew and pushed with a higher revision."""
        with self.db.write() as session:
            self.append_in(session, call_id, kind, at=at, source=source, **data)

    def append_in(
        self,
        session: Session,
        call_id: str,
        kind: Kind,
        *,
        at: datetime | None = None,
        source: str = "session",
        **data: Any,
    ) -> None:
        """Like append, within a transaction that is already open."""
        moment = at or self.clock.now()
        call = session.get(Call, call_id, with_for_update=True)
        if call is None:
            raise NotFound(f"no call {call_id}", id="no-such-call")
        self._add(session, call_id, kind, moment, source, data)
        project(call, kind, moment, data)
        if call.ended_at is not None:
            call.revision += 1
            outbox.put(session, self.clock, CALL_ENDED, call_id, {"call_id": call_id})

    def end(
        self, call_id: str, outcome: Outcome, by: EndedBy, *, at: datetime | None = None, source: str = "session"
    ) -> bool:
        """Close the ledger of a call, once: the first to close it wins. Returns whether this was the first."""
        moment = at or self.clock.now()
        with self.db.write() as session:
            call = session.get(Call, call_id, with_for_update=True)
            if call is None:
                raise NotFound(f"no call {call_id}", id="no-such-call")
            if call.ended_at is not None:
                return False
            data = {"outcome": str(outcome), "by": str(by)}
            self._add(session, call_id, Kind.ENDED, moment, source, data)
            project(call, Kind.ENDED, moment, data)
            waiting = session.get(WaitingCall, call_id)
            if waiting is not None:
                session.delete(waiting)
            outbox.put(session, self.clock, CALL_ENDED, call_id, {"call_id": call_id})
        return True

    def events(self, call_id: str) -> list[CallEvent]:
        """The steps of a call in order."""
        with self.db.read() as session:
            query = select(CallEvent).where(CallEvent.call_id == call_id).order_by(CallEvent.seq)
            return list(session.scalars(query))

    def get(self, call_id: str) -> Call | None:
        with self.db.read() as session:
            return session.get(Call, call_id)

    def open_calls(self) -> list[Call]:
        """Calls of this node that have not ended."""
        with self.db.read() as session:
            return list(session.scalars(select(Call).where(Call.ended_at.is_(None), Call.node == self.node)))

    def _add(self, session: Session, call_id: str, kind: Kind, at: datetime, source: str, data: dict[str, Any]) -> None:
        last = session.scalar(select(func.max(CallEvent.seq)).where(CallEvent.call_id == call_id)) or 0
        session.add(CallEvent(call_id=call_id, seq=last + 1, at=at, kind=kind, source=source, data=data))


def project(call: Call, kind: Kind, at: datetime, data: dict[str, Any]) -> None:
    """Carry one event into the summary of its call. Pure apart from changing ``call``."""
    match kind:
        case Kind.ANSWERED:
            call.answered_at = call.answered_at or at
        case Kind.NODE:
            call.flow_id = data.get("flow", call.flow_id)
            call.flow_version = data.get("version", call.flow_version)
        case Kind.LANGUAGE:
            call.language = data["language"]
        case Kind.QUEUED:
            call.queue = data["queue"]
            call.queued_at = call.queued_at or at
            call.stage = Stage.WAITING
        case Kind.UNQUEUED:
            if call.stage == Stage.WAITING:
                call.stage = Stage.IVR
        case Kind.JOINED:
            call.agent_id = data["agent_id"]
            call.connected_at = call.connected_at or at
            call.stage = Stage.TALKING
        case Kind.LEFT:
            call.talk_seconds += max(0.0, float(data.get("seconds", 0.0)))
            if call.stage == Stage.TALKING:
                call.stage = Stage.IVR
        case Kind.MESSAGE:
            call.stage = Stage.MESSAGE
        case Kind.ENDED:
            call.ended_at = at
            call.outcome = data["outcome"]
            call.ended_by = data["by"]
            call.stage = Stage.ENDED
        case _:
            pass
