"""The one place where parts are put together: every process starts from :func:`build`."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
from sqlalchemy import select

from agi.records import RecordPusher
from core.clock import Clock, SystemClock
from core.db import Database
from core.policy import Policies
from core.secrets import secret
from core.settings import Settings
from recordings.service import Recordings
from routing.agents import Agents
from routing.dispatcher import Dispatcher
from routing.ledger import Ledger
from routing.models import Number


@dataclass(frozen=True)
class Parts:
    """The services of one process, sharing one database."""

    settings: Settings
    db: Database
    clock: Clock
    policies: Policies
    ledger: Ledger
    agents: Agents
    dispatcher: Dispatcher
    recordings: Recordings

    def close(self) -> None:
        self.db.close()


def build(settings: Settings, *, clock: Clock | None = None, db: Database | None = None) -> Parts:
    """Services over the database of ``settings``; ``clock`` and ``db`` may be given by tests."""
    clock = clock or SystemClock()
    db = db or Database(settings.db_url)
    policies = Policies(db, clock)
    return Parts(
        settings=settings,
        db=db,
        clock=clock,
        policies=policies,
        ledger=Ledger(db, clock, settings.node),
        agents=Agents(db, clock, policies),
        dispatcher=Dispatcher(db, clock, policies),
        recordings=Recordings(db, clock, settings),
    )


def record_pusher(parts: Parts) -> RecordPusher:
    """The delivery of call records to the ticket app that the settings name."""
    key = secret(parts.settings.home, "records")
    # Loopback needs no proxy, and a proxy in the environment must not see records.
    client = httpx.Client(trust_env=False)
    return RecordPusher(parts.ledger, parts.recordings, parts.clock, parts.settings.push_url, key, client)


def flow_assignments(parts: Parts) -> dict[str, str]:
    """Dialled number → flow, as administrators have set it (R03)."""
    with parts.db.read() as session:
        return {row.number: row.flow_id for row in session.scalars(select(Number))}
