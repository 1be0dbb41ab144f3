"""Many calls: 30 at once, then 200 in a row; each leaves one closed ledger, one record, one recording, nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from core.outbox import OutboxRow
from core.records import EndedBy, Outcome
from recordings.models import Recording
from routing.ledger import Kind, Stage
from routing.models import Call, CallEvent
from tests.e2e.conftest import AGENT_TONE
from tests.e2e.hotline import SEATS, TRUNK, Hotline, until
from tests.e2e.seats import Seat
from web.records.models import CallRecordRow
from yihu.softphone import PhoneCall, SoftPhone

AT_ONCE = 30
IN_A_ROW = 200
LANES = 10  # so many callers, each calling again as soon as the last call has ended
MEMORY = 150 * 2**20
SPARE_FILES = 12  # database connections and the like that a pool keeps


@pytest.fixture(scope="module")
def team(hotline: Hotline, tones: Path) -> Iterator[list[Seat]]:
    """Thirty agents who answer by themselves."""
    with SoftPhone(SEATS) as phones:
        seats = [Seat(hotline, phones, f"8{n:02}") for n in range(AT_ONCE)]
        for seat in seats:
            seat.sign_in(tones / "agent.wav", save_dir=None)
        yield seats
        for seat in seats:
            seat.sign_out()


def live(hotline: Hotline, callers: list[str]) -> int:
    with hotline.parts.db.read() as session:
        talking = select(func.count()).where(Call.caller_number.in_(callers), Call.stage == Stage.TALKING)
        return session.scalar(talking) or 0


def open_files(hotline: Hotline, name: str) -> tuple[int, int]:
    """File handles and threads of a process."""
    process = psutil.Process(int(hotline.process(name)["pid"]))
    return process.num_fds(), process.num_threads()


def check_all(hotline: Hotline, callers: list[str], by: EndedBy | None = None) -> None:
    """One closed ledger, one record and one stored recording for each caller."""
    db = hotline.parts.db

    def settled() -> bool:
        with db.read() as session:
            calls = list(session.scalars(select(Call).where(Call.caller_number.in_(callers))))
            ids = [call.call_id for call in calls]
            records = session.scalar(select(func.count()).where(CallRecordRow.call_id.in_(ids)))
            stored = session.scalar(select(func.count()).where(Recording.call_id.in_(ids), Recording.state == "stored"))
            pending = session.scalar(select(func.count()).where(OutboxRow.key.in_(ids), OutboxRow.state != "sent"))
            return len(calls) == records == stored == len(callers) and pending == 0

    until(settled, 180, f"{len(callers)} ledgers, records and recordings")
    with db.read() as session:
        calls = list(session.scalars(select(Call).where(Call.caller_number.in_(callers))))
        ids = [call.call_id for call in calls]
        assert Counter(call.caller_number for call in calls) == Counter(callers)
        assert all(call.ended_at and call.outcome == Outcome.TALKED for call in calls)
        assert by is None or {call.ended_by for call in calls} == {by}
        ends = select(CallEvent.call_id, func.count()).where(CallEvent.call_id.in_(ids), CallEvent.kind == Kind.ENDED)
        assert dict(session.execute(ends.group_by(CallEvent.call_id)).all()) == dict.fromkeys(ids, 1)
        each = select(Recording.call_id, func.count()).where(Recording.call_id.in_(ids))
        assert dict(session.execute(each.group_by(Recording.call_id)).all()) == dict.fromkeys(ids, 1)
        bodies = {row.call_id: row.body for row in session.scalars(select(CallRecordRow))}
        assert all(len(bodies[call_id]["recordings"]) == 1 for call_id in ids)
        events = session.execute(
            select(CallEvent.call_id, func.count(), func.max(CallEvent.seq))
            .where(CallEvent.call_id.in_(ids))
            .group_by(CallEvent.call_id)
        )
        assert all(count == last for _, count, last in events)


def nothing_left(hotline: Hotline) -> None:
    until(lambda: not hotline.channels() and not hotline.rooms(), 60, "no channel and no room left")
    capture = hotline.settings.capture_dir
    until(lambda: not list(capture.iterdir()), 60, "no captured file left behind")


def test_thirty_at_once(hotline: Hotline, team: list[Seat], tones: Path) -> None:
    callers = [hotline.number() for _ in range(AT_ONCE)]
    with SoftPhone(TRUNK) as lines:
        calls = [hotline.dial(lines, caller, play=tones / "caller.wav", loop=True) for caller in callers]
        assert all(call.wait("answered", 60) for call in calls)
        until(lambda: live(hotline, callers) == AT_ONCE, 90, f"{AT_ONCE} live talks")
        assert all(call.wait_tone(AGENT_TONE, 60) for call in calls), "each caller hears an agent"
        assert len(hotline.rooms()) == AT_ONCE
        agi = psutil.Process(int(hotline.process("agi")["pid"])).memory_full_info()
        print(f"FastAGI at {AT_ONCE} live calls: {agi.rss / 2**20:.0f} MB resident, {agi.pss / 2**20:.0f} MB its own")
        assert agi.rss < MEMORY
        for call in calls:
            call.process.send("hangup", call.ident)
        assert all(call.wait("ended", 30) for call in calls)
    check_all(hotline, callers, EndedBy.CALLER)
    nothing_left(hotline)


def test_two_hundred_in_a_row(hotline: Hotline, team: list[Seat], tones: Path) -> None:
    """Every second call is hung up by the caller, the others by the agent."""
    for seat in team:
        until(lambda seat=seat: seat.row.state == "available", what="agents free again")  # type: ignore[misc]
        seat.phones.manner(seat.phone, talk_seconds=1.5)
    before = {name: open_files(hotline, name) for name in ("agi", "link", "worker", "asterisk")}
    with SoftPhone(TRUNK) as lines:

        def one(caller: str, ours: bool) -> str:
            call: PhoneCall = hotline.dial(lines, caller, play=tones / "caller.wav", loop=True)
            assert call.wait("answered", 60), caller
            call.keys("1")
            assert call.wait_tone(AGENT_TONE, 60), f"{caller} hears no agent"
            if ours:
                call.hang_up()
            assert call.wait("ended", 60), caller
            return caller

        numbers = [hotline.number() for _ in range(IN_A_ROW)]
        with ThreadPoolExecutor(LANES) as lanes:
            callers = list(lanes.map(one, numbers, [n % 2 == 0 for n in range(IN_A_ROW)]))
    check_all(hotline, callers)
    nothing_left(hotline)
    with hotline.parts.db.read() as session:
        ends = Counter(session.scalars(select(Call.ended_by).where(Call.caller_number.in_(callers))))
    assert ends == {EndedBy.CALLER: IN_A_ROW // 2, EndedBy.AGENT: IN_A_ROW // 2}
    for name, (files, threads) in before.items():

        def small(name: str = name, files: int = files, threads: int = threads) -> bool:
            now = open_files(hotline, name)
            return now[0] <= files + SPARE_FILES and now[1] <= threads + SPARE_FILES

        until(small, 60, f"{name}: {open_files(hotline, name)} file handles and threads, {before[name]} before")
