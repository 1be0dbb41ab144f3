"""The ledger: append-only, closed once, and never apart from its outbox."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select

from core.clock import ManualClock
from core.errors import NotFound
from core.outbox import OutboxRow
from core.records import EndedBy, Outcome
from routing.ledger import CALL_ENDED, Kind, Stage
from yihu.compose import Parts

CALL = "n1-1772424000.1"


def _outbox(parts: Parts) -> list[OutboxRow]:
    with parts.db.read() as session:
        return list(session.scalars(select(OutboxRow)))


def test_a_call_from_first_to_last(parts: Parts, clock: ManualClock) -> None:
    ledger = parts.ledger
    assert ledger.open(CALL, "15409980001", "12345")
    clock.advance(1)
    ledger.append(CALL, Kind.ANSWERED)
    clock.advance(2)
    ledger.append(CALL, Kind.QUEUED, queue="main", priority=0)
    clock.advance(7)
    _add_agent(parts)
    ledger.append(CALL, Kind.JOINED, agent_id=1, number="1001", name="张小雨")
    clock.advance(30)
    ledger.append(CALL, Kind.LEFT, agent_id=1, because="hung_up", seconds=30.0)
    assert ledger.end(CALL, Outcome.TALKED, EndedBy.AGENT)

    call = ledger.get(CALL)
    assert call is not None
    assert (call.stage, call.outcome, call.talk_seconds) == (Stage.ENDED, "talked", 30.0)
    assert call.connected_at is not None
    assert call.queued_at is not None
    assert (call.connected_at - call.queued_at).total_seconds() == 7
    events = ledger.events(CALL)
    assert [event.seq for event in events] == list(range(1, 7))
    assert events[-1].kind == Kind.ENDED
    assert [(row.topic, row.payload) for row in _outbox(parts)] == [(CALL_ENDED, {"call_id": CALL})]


def test_the_first_to_close_wins(parts: Parts) -> None:
    parts.ledger.open(CALL, "1", "12345")
    assert parts.ledger.end(CALL, Outcome.ABANDONED_IVR, EndedBy.CALLER)
    assert not parts.ledger.end(CALL, Outcome.FAILED, EndedBy.SYSTEM)
    call = parts.ledger.get(CALL)
    assert call is not None
    assert call.outcome == "abandoned_ivr"
    assert len(_outbox(parts)) == 1


def test_opening_twice_changes_nothing(parts: Parts) -> None:
    assert parts.ledger.open(CALL, "1", "12345")
    assert not parts.ledger.open(CALL, "2", "12345")
    assert len(parts.ledger.events(CALL)) == 1


def test_what_is_learnt_later_makes_a_new_revision(parts: Parts) -> None:
    parts.ledger.open(CALL, "1", "12345")
    parts.ledger.end(CALL, Outcome.ABANDONED_IVR, EndedBy.CALLER)
    parts.ledger.append(CALL, Kind.RECONCILED, source="cel", why="test")
    call = parts.ledger.get(CALL)
    assert call is not None
    assert call.revision == 2
    assert len(_outbox(parts)) == 2


def test_a_failed_transaction_leaves_no_event_and_no_message(parts: Parts) -> None:
    parts.ledger.open(CALL, "1", "12345")
    with pytest.raises(RuntimeError), parts.db.write() as session:  # noqa: PT012 (two steps are the point)
        parts.ledger.append_in(session, CALL, Kind.ANSWERED)
        raise RuntimeError
    assert [event.kind for event in parts.ledger.events(CALL)] == [Kind.OFFERED]


def test_an_unknown_call_is_refused(parts: Parts) -> None:
    with pytest.raises(NotFound):
        parts.ledger.append("n1-1.1", Kind.ANSWERED)


def test_many_writers_keep_one_sequence(parts: Parts) -> None:
    parts.ledger.open(CALL, "1", "12345")

    def write() -> None:
        for _ in range(10):
            parts.ledger.append(CALL, Kind.DIGIT, digit="1")

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.seq for event in parts.ledger.events(CALL)] == list(range(1, 62))


def _add_agent(parts: Parts) -> None:
    from routing.models import Agent

    with parts.db.write() as session:
        session.add(Agent(id=1, number="1001", name="张小雨", languages=["zh"], queues=["main"], active=True))
