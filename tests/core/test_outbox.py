"""The outbox: at least once, one at a time, never lost."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from core import outbox
from core.clock import ManualClock
from core.db import Database


def _put(db: Database, clock: ManualClock, count: int = 1) -> None:
    with db.write() as session:
        for i in range(count):
            outbox.put(session, clock, "t", f"k{i}", {"n": i})


def _rows(db: Database) -> list[outbox.OutboxRow]:
    with db.read() as session:
        return list(session.scalars(select(outbox.OutboxRow).order_by(outbox.OutboxRow.id)))


def test_delivered_in_order_and_once(db: Database, clock: ManualClock) -> None:
    _put(db, clock, 5)
    seen: list[Any] = []
    pump = outbox.Pump(db, clock, {"t": lambda payload: seen.append(payload["n"])})
    assert pump.run_once() == 5
    assert pump.run_once() == 0
    assert seen == [0, 1, 2, 3, 4]
    assert {row.state for row in _rows(db)} == {"sent"}


def test_a_failure_is_tried_again_with_growing_pauses(db: Database, clock: ManualClock) -> None:
    _put(db, clock)
    down = True

    def handler(_: dict[str, Any]) -> None:
        if down:
            raise ConnectionError("web is down")

    pump = outbox.Pump(db, clock, {"t": handler})
    assert pump.run_once() == 1
    assert pump.run_once() == 0, "not due yet"
    for attempt in range(2, 6):
        clock.advance(outbox.pause_after(attempt - 1) * 1.3)
        assert pump.run_once() == 1
    assert "web is down" in (_rows(db)[0].last_error or "")
    down = False
    clock.advance(60)
    pump.run_once()
    assert _rows(db)[0].state == "sent"


def test_the_pause_is_bounded() -> None:
    pauses = [outbox.pause_after(n) for n in range(1, 3000)]
    assert pauses[0] == 1.0
    assert max(pauses) == outbox.LONGEST_PAUSE
    assert pauses == sorted(pauses)


def test_refused_for_good_is_a_dead_letter_that_can_be_replayed(db: Database, clock: ManualClock) -> None:
    _put(db, clock)
    refuse = True

    def handler(_: dict[str, Any]) -> None:
        if refuse:
            raise outbox.PermanentFailure("422")

    pump = outbox.Pump(db, clock, {"t": handler})
    pump.run_once()
    assert _rows(db)[0].state == "dead"
    clock.advance(10_000)
    assert pump.run_once() == 0
    refuse = False
    assert outbox.replay(db, clock) == 1
    assert pump.run_once() == 1
    assert _rows(db)[0].state == "sent"


def test_a_pump_that_died_gives_its_row_back(db: Database, clock: ManualClock) -> None:
    _put(db, clock)

    class Killed(BaseException):
        pass

    def dies(_: dict[str, Any]) -> None:
        raise Killed

    with pytest.raises(Killed):
        outbox.Pump(db, clock, {"t": dies}).run_once()
    second = outbox.Pump(db, clock, {"t": lambda _: None})
    assert second.run_once() == 0, "leased"
    clock.advance(outbox.LEASE.total_seconds() + 1)
    assert second.run_once() == 1


def test_two_pumps_share_the_work(db: Database, clock: ManualClock) -> None:
    _put(db, clock, 30)
    seen: Counter[int] = Counter()
    lock = threading.Lock()

    def handler(payload: dict[str, Any]) -> None:
        with lock:
            seen[payload["n"]] += 1

    def work() -> None:
        pump = outbox.Pump(db, clock, {"t": handler})
        for _ in range(40):
            pump.run_once()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == Counter(dict.fromkeys(range(30), 1))


def test_rows_of_other_topics_are_left_alone(db: Database, clock: ManualClock) -> None:
    _put(db, clock)
    assert outbox.Pump(db, clock, {"other": lambda _: None}).run_once() == 0
