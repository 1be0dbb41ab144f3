"""Calls as people look at them: from the pushed records. An agent sees the own ones, a lead all (SPEC 2.1, 3.7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Select, select

from core import audit
from core.audit import AuditEntry
from core.errors import Forbidden, NotFound
from core.privacy import mask_number
from core.records import CALL_ID_PATTERN
from recordings.models import Recording
from routing.models import Agent
from web import tables
from web.auth.actor import Actor
from web.auth.models import Role
from web.deps import WebDeps
from web.i18n import _
from web.records.models import CallRecordRow

SORTS = {
    "started": CallRecordRow.started_at,
    "talk": CallRecordRow.talk_seconds,
    "wait": CallRecordRow.wait_seconds,
    "outcome": CallRecordRow.outcome,
}
# Requests for the middle of a recording within this time belong to a hearing that is in the books already.
ONE_HEARING = timedelta(hours=1)
PLAYED = "recording-played"


@dataclass(frozen=True)
class CallFilter:
    """Which calls; empty and None mean any. ``number``: the whole number or its last digits; ``before``: exclusive."""

    number: str = ""
    outcome: str = ""
    agent_id: int | None = None
    since: datetime | None = None
    before: datetime | None = None


class Calls:
    def __init__(self, parts: WebDeps) -> None:
        self.parts = parts

    def query(self, actor: Actor, wanted: CallFilter | None = None) -> Select[Any]:
        """The records that the actor may see, narrowed down. Raises Forbidden for roles without calls."""
        actor.require(Role.AGENT, Role.LEAD)
        wanted = wanted or CallFilter()
        query = select(CallRecordRow)
        if not actor.has(Role.LEAD):
            query = query.where(CallRecordRow.agent_id == actor.require_agent())
        if digits := re.sub(r"[^0-9]", "", wanted.number):
            query = query.where(CallRecordRow.caller_number.endswith(digits, autoescape=True))
        if wanted.outcome:
            query = query.where(CallRecordRow.outcome == wanted.outcome)
        if wanted.agent_id is not None:
            query = query.where(CallRecordRow.agent_id == wanted.agent_id)
        if wanted.since is not None:
            query = query.where(CallRecordRow.started_at >= wanted.since)
        if wanted.before is not None:
            query = query.where(CallRecordRow.started_at < wanted.before)
        return query

    def page(self, actor: Actor, wanted: CallFilter, sort: str, number: int) -> tables.Page[CallRecordRow]:
        """One page of the list."""
        with self.parts.db.read() as session:
            return tables.fetch(session, self.query(actor, wanted), SORTS, sort, number)

    def export(self, actor: Actor, wanted: CallFilter, sort: str) -> Iterator[CallRecordRow]:
        """The rows of the whole list, one more than can be exported; who took them is audited (R57)."""
        query = self.query(actor, wanted).order_by(*tables.order(SORTS, sort)).limit(tables.EXPORT_LIMIT + 1)
        with self.parts.db.write() as session:
            rows = list(session.scalars(query))
            audit.record(
                session, self.parts.clock, actor.audit_name, "calls-exported", "calls", rows=len(rows), sort=sort[:20]
            )
        return iter(rows)

    def agents(self, actor: Actor) -> list[Agent]:
        """All agents, for the filter and for names."""
        actor.require(Role.AGENT, Role.LEAD)
        with self.parts.db.read() as session:
            return list(session.scalars(select(Agent).order_by(Agent.number)))

    def find(self, actor: Actor, call_id: str) -> CallRecordRow | None:
        """The record; None when it has not come yet or is not the actor's to see. Raises NotFound for no call id."""
        if not re.match(CALL_ID_PATTERN, call_id) or len(call_id) > 64:
            raise NotFound(_("没有这个通话"), id="no-such-call")
        with self.parts.db.read() as session:
            found: CallRecordRow | None = session.scalar(self.query(actor).where(CallRecordRow.call_id == call_id))
        return found

    def shown_number(self, actor: Actor, number: str) -> str:
        """In lists agents see numbers masked; leads need them."""
        return number if actor.has(Role.LEAD) else mask_number(number)

    def audio(self, actor: Actor, recording_id: str, *, from_start: bool) -> tuple[Recording, Path]:
        """A recording that the actor may hear, and its file; each hearing is audited (R57)."""
        actor.require(Role.AGENT, Role.LEAD)
        recording = self.parts.recordings.get(recording_id)
        if not actor.has(Role.LEAD):
            with self.parts.db.read() as session:
                row = session.get(CallRecordRow, recording.call_id)
            if row is None or row.agent_id != actor.require_agent():
                raise Forbidden(_("只能收听本人通话的录音"))
        path = self.parts.recordings.path(recording)
        if not path.is_file():
            raise NotFound(_("录音文件不在存储中，请告诉系统管理员"), id="recording-file-gone")
        self._heard(actor, recording_id, from_start=from_start)
        return recording, path

    def _heard(self, actor: Actor, recording_id: str, *, from_start: bool) -> None:
        """Nobody hears anything unrecorded, not even by asking for all but the first byte."""
        target, now = f"recording:{recording_id}", self.parts.clock.now()
        with self.parts.db.write() as session:
            known: Any = session.scalar(
                select(AuditEntry.id)
                .where(
                    AuditEntry.actor == actor.audit_name,
                    AuditEntry.action == PLAYED,
                    AuditEntry.target == target,
                    AuditEntry.at > now - ONE_HEARING,
                )
                .limit(1)
            )
            if from_start or known is None:
                audit.record(session, self.parts.clock, actor.audit_name, PLAYED, target)
