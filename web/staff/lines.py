"""What administrators set about the hotline itself: its numbers and their flows, queues, units (ADMIN; R03, R06)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import select

from core import audit
from core.errors import Invalid, NotFound
from ivr_flows.registry import FlowRegistry
from routing.models import Agent, Number, Queue
from web.auth.actor import Actor
from web.auth.models import Role
from web.deps import WebDeps
from web.i18n import _
from web.units.models import Unit

_DIALLED = re.compile(r"^\+?[0-9]{3,20}$", re.ASCII)


@lru_cache(maxsize=1)
def flow_ids() -> tuple[str, ...]:
    """The flows that can answer a number."""
    return tuple(pinned.flow.id for pinned in FlowRegistry.load().all())


@dataclass(frozen=True)
class QueueRow:
    """A queue and how many active agents take calls from it."""

    queue: Queue
    agents: int


class Lines:
    def __init__(self, parts: WebDeps) -> None:
        self.parts = parts

    def numbers(self, actor: Actor) -> Sequence[Number]:
        actor.require(Role.ADMIN)
        with self.parts.db.read() as session:
            return list(session.scalars(select(Number).order_by(Number.number)))

    def save_number(self, actor: Actor, *, number: str, title: str, flow_id: str) -> None:
        """Add a dialled number or change it. Raises Invalid."""
        actor.require(Role.ADMIN)
        number, title = re.sub(r"[\s-]", "", number), title.replace("\x00", "").strip()
        if not _DIALLED.match(number):
            raise Invalid(_("号码应为 3 至 20 位数字"), id="bad-number")
        if not title or len(title) > 120:
            raise Invalid(_("请填写名称，最多 120 个字"), id="bad-title")
        if flow_id not in flow_ids():
            raise Invalid(_("请选择流程"), id="bad-flow")
        with self.parts.db.write() as session:
            row = session.get(Number, number, with_for_update=True)
            if row is None:
                row = Number(number=number)
                session.add(row)
            row.title, row.flow_id = title, flow_id
            audit.record(
                session,
                self.parts.clock,
                actor.audit_name,
                "save-number",
                f"number:{number}",
                title=title,
                flow_id=flow_id,
            )

    def remove_number(self, actor: Actor, number: str) -> None:
        """Forget a number; calls to it are answered by the default flow. Raises NotFound."""
        actor.require(Role.ADMIN)
        with self.parts.db.write() as session:
            row = session.get(Number, number, with_for_update=True)
            if row is None:
                raise NotFound(_("没有这个号码"), id="no-such-number")
            session.delete(row)
            audit.record(session, self.parts.clock, actor.audit_name, "remove-number", f"number:{number}")

    def queues(self, actor: Actor) -> Sequence[QueueRow]:
        actor.require(Role.ADMIN)
        with self.parts.db.read() as session:
            queues = session.scalars(select(Queue).order_by(Queue.priority.desc(), Queue.name)).all()
            staffed = session.scalars(select(Agent.queues).where(Agent.active.is_(True))).all()
        return [QueueRow(queue, sum(queue.name in names for names in staffed)) for queue in queues]

    def units(self, actor: Actor) -> Sequence[Unit]:
        actor.require(Role.ADMIN)
        with self.parts.db.read() as session:
            return list(session.scalars(select(Unit).order_by(Unit.kind, Unit.region, Unit.name)))
