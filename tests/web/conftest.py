"""The web app with a person of each role, and calls whose records have been received."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from argon2 import PasswordHasher

from core.records import CallRecordV1
from routing.models import Queue
from tests.web import world as worlds
from tests.web.world import Browser, World
from web.auth import service as auth_service
from web.auth.models import Role
from web.records.service import Records
from yihu.compose import Parts

AGENT, OTHER, LEAD, ADMIN = "1001", "1002", "2001", "admin"


@dataclass
class House:
    """The app and its people: two agents, a lead who takes calls, an administrator who does not."""

    world: World
    agent_id: int
    other_id: int
    lead_id: int
    browsers: dict[str, Browser] = field(default_factory=dict)

    @property
    def parts(self) -> Parts:
        return self.world.parts

    def browser(self, username: str) -> Browser:
        """The browser that a person has been using; log-ins are rate-limited."""
        if username not in self.browsers:
            self.browsers[username] = self.world.signed_in(username)
        return self.browsers[username]

    def call(self, serial: int, *, agent_id: int | None = None, caller: str = "15409980001", **changes: Any) -> str:
        """Receive the record of a finished call, started ``serial`` minutes ago; returns its id."""
        now = self.parts.clock.now()
        start = now - timedelta(minutes=serial)
        body = record(f"n1-{int(start.timestamp())}.{serial}", start, agent_id, caller)
        body.update(changes)
        Records(self.parts.db, self.parts.clock).receive(CallRecordV1.model_validate(body))
        return str(body["call_id"])


def event(seq: int, at: datetime, kind: str, **data: Any) -> dict[str, Any]:
    return {"seq": seq, "at": at.isoformat(), "kind": kind, "data": data}


def record(call_id: str, start: datetime, agent_id: int | None, caller: str) -> dict[str, Any]:
    """A call-record/v1 of a talk with an agent, or, without one, of a caller who gave up."""

    def at(seconds: float) -> datetime:
        return start + timedelta(seconds=seconds)

    events = [event(1, start, "offered", caller=caller, called="12345"), event(2, at(0.2), "answered")]
    events.append(event(3, at(5), "queued", queue="general", priority=0))
    agents = []
    if agent_id is not None:
        name = f"人员{agent_id}"
        events.append(event(4, at(9), "joined", agent_id=agent_id, number="1001", name=name))
        events.append(event(5, at(69), "left", agent_id=agent_id, because="hung_up", seconds=60.0))
        agents = [
            {
                "agent_id": agent_id,
                "number": "1001",
                "name": name,
                "joined_at": at(9).isoformat(),
                "left_at": at(69).isoformat(),
                "left_because": "hung_up",
            }
        ]
    outcome = "talked" if agents else "abandoned_waiting"
    events.append(event(6, at(70), "ended", outcome=outcome, by="agent" if agents else "caller"))
    return {
        "schema": "call-record/v1",
        "call_id": call_id,
        "revision": 1,
        "node": "n1",
        "caller_number": caller,
        "called_number": "12345",
        "language": "zh",
        "started_at": start.isoformat(),
        "answered_at": at(0.2).isoformat(),
        "ended_at": at(70).isoformat(),
        "wait_seconds": 4.0 if agents else None,
        "talk_seconds": 60.0 if agents else 0.0,
        "outcome": outcome,
        "ended_by": "agent" if agents else "caller",
        "agents": agents,
        "recordings": [],
        "events": events,
    }


@pytest.fixture
def house(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> House:
    # Real hashing costs a tenth of a second each time; these tests are about other things.
    monkeypatch.setattr(auth_service, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
    built = worlds.build(parts)
    with parts.db.write() as session:
        session.add(
            Queue(name="general", title={"zh": "综合服务", "en": "General", "ug": "ئومۇمىي مۇلازىمەت"}, priority=0)
        )
    built.person(ADMIN, Role.ADMIN, agent=False)
    return House(built, built.person(AGENT, Role.AGENT), built.person(OTHER, Role.AGENT), built.person(LEAD, Role.LEAD))
