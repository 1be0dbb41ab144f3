"""Receipt of pushed call records: each call once, the highest revision wins (ARCHITECTURE, decision 6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from core.clock import Clock
from core.db import Database
from core.errors import NotFound
from core.records import CallRecordV1, Outcome
from web.records.models import CallRecordRow


class Receipt(StrEnum):
    """What became of a pushed record."""

    CREATED = "created"
    REPLACED = "replaced"
    UNCHANGED = "unchanged"  # this revision was here already
    OLDER = "older"  # a higher revision is here: ignored


@dataclass(frozen=True)
class Received:
    receipt: Receipt
    revision: int  # the one kept now


class Records:
    def __init__(self, db: Database, clock: Clock) -> None:
        self.db, self.clock = db, clock

    def receive(self, record: CallRecordV1) -> Received:
        """Keep a record whose signature has been verified. Safe to call again with the same or an older one."""
        try:
            return self._receive(record)
        except IntegrityError:
            return self._receive(record)  # two first deliveries at once: the other came first, so compare with it

    def _receive(self, record: CallRecordV1) -> Received:
        with self.db.write() as session:
            row = session.get(CallRecordRow, record.call_id, with_for_update=True)
            if row is not None and row.revision >= record.revision:
                same = row.revision == record.revision
                return Received(Receipt.UNCHANGED if same else Receipt.OLDER, row.revision)
            receipt = Receipt.CREATED if row is None else Receipt.REPLACED
            if row is None:
                row = CallRecordRow(call_id=record.call_id)
                session.add(row)
            row.revision = record.revision
            row.caller_number, row.called_number = record.caller_number, record.called_number
            row.language, row.outcome, row.ended_by = record.language, record.outcome, record.ended_by
            row.agent_id = record.agents[-1].agent_id if record.agents else None
            row.started_at, row.ended_at = record.started_at, record.ended_at
            row.wait_seconds, row.talk_seconds = record.wait_seconds, record.talk_seconds
            row.received_at = self.clock.now()
            row.body = record.model_dump(mode="json", by_alias=True)
        return Received(receipt, record.revision)

    def find(self, call_id: str) -> CallRecordRow | None:
        """The record as kept; None when it has not come (yet)."""
        with self.db.read() as session:
            return session.get(CallRecordRow, call_id)

    def get(self, call_id: str) -> CallRecordRow:
        """Like find; raises NotFound."""
        row = self.find(call_id)
        if row is None:
            raise NotFound(f"no record of call {call_id}", id="no-such-record")
        return row

    def page(
        self,
        *,
        caller_number: str | None = None,
        outcome: Outcome | None = None,
        started_from: datetime | None = None,
        started_before: datetime | None = None,
        limit: int = 50,
        offset: int = 0,
    ) -> list[CallRecordRow]:
        """Records, newest first."""
        query = select(CallRecordRow).order_by(CallRecordRow.started_at.desc(), CallRecordRow.call_id.desc())
        if caller_number is not None:
            query = query.where(CallRecordRow.caller_number == caller_number)
        if outcome is not None:
            query = query.where(CallRecordRow.outcome == outcome)
        if started_from is not None:
            query = query.where(CallRecordRow.started_at >= started_from)
        if started_before is not None:
            query = query.where(CallRecordRow.started_at < started_before)
        with self.db.read() as session:
            return list(session.scalars(query.limit(limit).offset(offset)))
