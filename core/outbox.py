"""The outbox: what must be told to others is written in the transaction that made it true, and delivered later.

Delivery is at least once; receivers are idempotent. A row is leased while it is worked on, retried with growing
pauses, and after ``MAX_ATTEMPTS`` becomes a dead letter, which stays visible and can be replayed.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, String, Text, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from core import log
from core.clock import Clock
from core.db import Base, Database, UtcDateTime

LEASE = timedelta(seconds=120)
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 300.0
MAX_ATTEMPTS = 2000  # at the longest pause about a week: an outage over a holiday loses nothing

Handler = Callable[[dict[str, Any]], None]


class OutboxRow(Base):
    __tablename__ = "outbox"
    __table_args__ = (Index("ix_outbox_due", "state", "due_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(String(64))
    key: Mapped[str] = mapped_column(String(128), index=True)
    payload: Mapped[dict[str, Any]]
    state: Mapped[str] = mapped_column(String(8), default="pending")  # pending | sent | dead
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    sent_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    last_error: Mapped[str | None] = mapped_column(Text)


def put(session: Session, clock: Clock, topic: str, key: str, payload: dict[str, Any]) -> None:
    """Add a message to the running transaction. ``key`` names what it is about (a call id)."""
    now = clock.now()
    session.add(OutboxRow(topic=topic, key=key, payload=payload, created_at=now, due_at=now))


def pause_after(attempts: int) -> float:
    """Seconds to wait after the n-th failed attempt: doubling, capped."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts - 1, 16))


class PermanentFailure(Exception):
    """Raised by a handler when trying again can never help: the row becomes a dead letter at once."""


class Pump:
    """Delivers due rows to the handler of their topic. Several pumps may run on one database."""

    def __init__(self, db: Database, clock: Clock, handlers: Mapping[str, Handler]) -> None:
        self.db, self.clock, self.handlers = db, clock, dict(handlers)
        self._log = log.get("outbox")

    def run_once(self, limit: int = 50) -> int:
        """Deliver up to ``limit`` due rows; returns how many were tried."""
        tried = 0
        while tried < limit and (row := self._lease()) is not None:
            tried += 1
            self._deliver(row)
        return tried

    def _lease(self) -> OutboxRow | None:
        now = self.clock.now()
        due = (
            select(OutboxRow)
            .where(
                OutboxRow.state == "pending",
                OutboxRow.due_at <= now,
                OutboxRow.topic.in_(self.handlers),
            )
            .order_by(OutboxRow.due_at, OutboxRow.id)
            .limit(1)
        )
        with self.db.read() as session:
            row = session.scalar(due)
        if row is None:
            return None
        with self.db.write() as session:
            # The condition on attempts makes the lease exclusive: of two pumps, one update finds no row.
            taken = session.execute(
                update(OutboxRow)
                .where(OutboxRow.id == row.id, OutboxRow.state == "pending", OutboxRow.attempts == row.attempts)
                .values(attempts=row.attempts + 1, due_at=now + LEASE)
            )
            if taken.rowcount != 1:  # type: ignore[attr-defined]
                return None
        row.attempts += 1
        return row

    def _deliver(self, row: OutboxRow) -> None:
        now = self.clock.now
        try:
            self.handlers[row.topic](dict(row.payload))
        except Exception as exc:
            dead = isinstance(exc, PermanentFailure) or row.attempts >= MAX_ATTEMPTS
            pause = pause_after(row.attempts) * random.uniform(0.8, 1.2)  # noqa: S311
            values: dict[str, Any] = {
                "state": "dead" if dead else "pending",
                "due_at": now() + timedelta(seconds=pause),
                "last_error": f"{exc.__class__.__name__}: {exc}"[:2000],
            }
            self._log.warning(
                "not delivered", topic=row.topic, key_id=row.key, attempts=row.attempts, dead=dead, error=str(exc)
            )
        else:
            values = {"state": "sent", "sent_at": now(), "last_error": None}
        with self.db.write() as session:
            session.execute(update(OutboxRow).where(OutboxRow.id == row.id).values(**values))


def replay(db: Database, clock: Clock, *, row_id: int | None = None) -> int:
    """Make dead letters pending again (all, or one); returns how many."""
    dead = OutboxRow.state == "dead"
    if row_id is not None:
        dead &= OutboxRow.id == row_id
    with db.write() as session:
        done = session.execute(update(OutboxRow).where(dead).values(state="pending", attempts=0, due_at=clock.now()))
        return int(done.rowcount)  # type: ignore[attr-defined]
