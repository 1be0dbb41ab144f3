"""The ledger is completed from Asterisk's own log, once, and without touching what living sessions wrote."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from agi.reconcile import FIELDS, Reconciler, parse
from core.clock import ManualClock
from core.records import EndedBy, Outcome
from routing.agents import State
from routing.ledger import Kind
from routing.models import Agent
from yihu.compose import Parts

CALL = "n1-1772424000.1"
CALLER = "PJSIP/trunk-00000001"
PHONE = "PJSIP/agent1-00000002"


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "Master.csv"


@pytest.fixture
def reconciler(parts: Parts, log_file: Path) -> Reconciler:
    with parts.db.write() as session:
        session.add(Agent(id=1, number="1001", name="张小雨", languages=["zh"], queues=["main"], active=True))
    parts.agents.sign_in(1)
    parts.agents.phone(1, ready=True)
    return Reconciler(parts.db, parts.clock, parts.ledger, parts.agents, parts.recordings, log_file)


class Log:
    """Writes the event log as Asterisk does."""

    def __init__(self, path: Path, start: datetime) -> None:
        self.path, self.start = path, start

    def add(self, kind: str, seconds: float, **values: str) -> None:
        at = self.start + timedelta(seconds=seconds)
        row = {
            "kind": kind,
            "at": f"{at.timestamp():.6f}",
            "uniqueid": CALL,
            "linkedid": CALL,
            "channel": CALLER,
            "number": "15409980001",
            "exten": "12345",
            "context": "inbound",
        } | values
        out = io.StringIO()
        csv.writer(out, quoting=csv.QUOTE_ALL).writerow([row.get(name, "") for name in FIELDS])
        with self.path.open("a") as handle:
            handle.write(out.getvalue().replace("\r\n", "\n"))


@pytest.fixture
def asterisk(log_file: Path, clock: ManualClock) -> Log:
    return Log(log_file, clock.now())


def _kinds(parts: Parts) -> list[str]:
    return [event.kind for event in parts.ledger.events(CALL)]


def _net_call(asterisk: Log) -> None:
    """A call served by Asterisk alone: safety net, an agent from its own queue, hang-up."""
    asterisk.add("CHAN_START", 0)
    asterisk.add("YIHU_NET", 1, userdef="YIHU_NET", extra=json.dumps({"extra": "ivr"}))
    asterisk.add("BRIDGE_ENTER", 10, uniqueid="n1-1772424000.2", channel=PHONE, context="phones")
    asterisk.add("BRIDGE_EXIT", 40, uniqueid="n1-1772424000.2", channel=PHONE, context="phones")
    asterisk.add("HANGUP", 41)
    asterisk.add("CHAN_END", 41)


def test_a_call_nobody_of_ours_saw_gets_its_whole_ledger(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    _net_call(asterisk)
    clock.advance(60)
    reconciler.run()
    assert _kinds(parts) == ["offered", "safety_net", "joined", "left", "reconciled", "ended"]
    call = parts.ledger.get(CALL)
    assert call is not None
    assert (call.caller_number, call.outcome, call.talk_seconds) == ("15409980001", Outcome.TALKED, 30.0)
    assert [row.id for row in parts.recordings.of_call(CALL)] == [f"{CALL}-net"]
    before = _kinds(parts)
    Reconciler(parts.db, clock, parts.ledger, parts.agents, parts.recordings, asterisk.path).run()
    assert _kinds(parts) == before, "read on from where it stopped"


def test_reading_everything_twice_adds_nothing(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    _net_call(asterisk)
    clock.advance(60)
    reconciler.run()
    before = _kinds(parts)
    for row in parse(asterisk.path.read_text().splitlines()):
        reconciler.handle(row)
    assert _kinds(parts) == before


def test_key_9_in_the_safety_net(parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler) -> None:
    asterisk.add("CHAN_START", 0)
    asterisk.add("YIHU_NET", 1, userdef="YIHU_NET", extra=json.dumps({"extra": "ivr"}))
    asterisk.add("YIHU_NET_EMERGENCY", 4, userdef="YIHU_NET_EMERGENCY", extra=json.dumps({"extra": "110"}))
    asterisk.add("HANGUP", 30)
    clock.advance(60)
    reconciler.run()
    call = parts.ledger.get(CALL)
    assert call is not None
    assert call.outcome == Outcome.EMERGENCY
    assert "emergency" in _kinds(parts)


def test_a_leg_that_we_rang_belongs_to_its_call(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    leg = f"leg-{CALL}-agent1-836fa720"
    asterisk.add("CHAN_START", 0)
    parts.ledger.open(CALL, "15409980001", "12345")
    clock.advance(5)
    parts.ledger.append(CALL, Kind.JOINED, agent_id=1, number="1001", name="张小雨")
    asterisk.add("BRIDGE_ENTER", 5, uniqueid=leg, linkedid=leg, channel=PHONE, context="agent-leg")
    asterisk.add("BRIDGE_EXIT", 9, uniqueid=leg, linkedid=leg, channel=PHONE, context="agent-leg")
    asterisk.add("HANGUP", 40)
    clock.advance(60)
    reconciler.run()
    call = parts.ledger.get(CALL)
    assert call is not None
    assert call.talk_seconds == pytest.approx(4.0, abs=0.1)


def test_in_the_safety_net_the_agent_counts_as_talking(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    asterisk.add("CHAN_START", 0)
    asterisk.add("BRIDGE_ENTER", 1, uniqueid="n1-1772424000.2", channel=PHONE)
    clock.advance(20)
    reconciler.run()
    assert parts.agents.state(1).state == State.TALKING
    asterisk.add("BRIDGE_EXIT", 15, uniqueid="n1-1772424000.2", channel=PHONE)
    reconciler.run()
    assert parts.agents.state(1).state == State.WRAP_UP


def test_a_living_session_is_left_to_write_first(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    asterisk.add("CHAN_START", 0)
    clock.advance(1)
    assert reconciler.run() == 0
    parts.ledger.open(CALL, "15409980001", "12345")
    parts.ledger.append(CALL, Kind.JOINED, agent_id=1, number="1001", name="张小雨")
    asterisk.add("BRIDGE_ENTER", 1, uniqueid="n1-1772424000.2", channel=PHONE)
    asterisk.add("BRIDGE_EXIT", 9, uniqueid="n1-1772424000.2", channel=PHONE)
    clock.advance(8)
    parts.ledger.append(CALL, Kind.LEFT, agent_id=1, because="hung_up", seconds=8.0)
    parts.ledger.end(CALL, Outcome.TALKED, EndedBy.AGENT)
    before = _kinds(parts)
    asterisk.add("HANGUP", 9.2)
    clock.advance(30)
    assert reconciler.run() == 4
    assert _kinds(parts) == before


def test_a_session_that_died_in_mid_talk_is_closed_by_the_log(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    asterisk.add("CHAN_START", 0)
    parts.ledger.open(CALL, "15409980001", "12345")
    parts.ledger.append(CALL, Kind.QUEUED, queue="main", priority=0)
    parts.ledger.append(CALL, Kind.JOINED, agent_id=1, number="1001", name="张小雨")
    asterisk.add("HANGUP", 30)
    clock.advance(60)
    reconciler.run()
    call = parts.ledger.get(CALL)
    assert call is not None
    assert (call.outcome, call.talk_seconds) == (Outcome.TALKED, 30.0)
    assert call.ended_at == asterisk.start + timedelta(seconds=30)


def test_giving_up_in_the_net_counts_as_waiting(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    asterisk.add("CHAN_START", 0)
    asterisk.add("YIHU_NET", 1, userdef="YIHU_NET", extra=json.dumps({"extra": "ivr"}))
    asterisk.add("HANGUP", 5)
    clock.advance(60)
    reconciler.run()
    call = parts.ledger.get(CALL)
    assert call is not None
    assert call.outcome == Outcome.ABANDONED_WAITING


def test_torn_lines_and_nonsense_are_passed_over(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    asterisk.path.write_bytes(b'"CHAN_START","\xff\xfe\n"x"\nCHAN_START,nan,a,b,c,d,e,f,g,h,i\n,,\n')
    asterisk.add("CHAN_START", 0)
    with asterisk.path.open("a") as handle:
        handle.write('"HANGUP","17')
    clock.advance(60)
    reconciler.run()
    assert _kinds(parts) == ["offered"]


def test_a_new_file_is_read_from_its_beginning(
    parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler
) -> None:
    _net_call(asterisk)
    clock.advance(60)
    reconciler.run()
    asterisk.path.rename(asterisk.path.with_suffix(".1"))
    asterisk.add("CHAN_START", 50, uniqueid="n1-1772424000.9", linkedid="n1-1772424000.9")
    clock.advance(60)
    reconciler.run()
    assert parts.ledger.get("n1-1772424000.9") is not None


def test_the_self_test_is_no_call(parts: Parts, clock: ManualClock, asterisk: Log, reconciler: Reconciler) -> None:
    asterisk.add("CHAN_START", 0, exten="selftest")
    clock.advance(60)
    reconciler.run()
    assert parts.ledger.get(CALL) is None
