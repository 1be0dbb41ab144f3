"""Whole calls over a real FastAGI socket against a fake caller: every ending, and the ledger it leaves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from agi.line import CallServices
from agi.server import AgiServer
from agi.session import CallHandler, number
from core.clock import ManualClock
from ivr_flows.prompts.catalogue import LANGUAGES, shipped
from ivr_flows.prompts.store import PromptStore
from ivr_flows.registry import FlowRegistry
from routing.agents import MISSED_CALL, State
from routing.control import CallControl, LeftBecause, RingResult
from routing.models import Agent
from tests.agi.scripted import ScriptedControl, ScriptedRing
from tests.fake_asterisk.caller import FakeCaller
from tests.fake_asterisk.commands import Message
from yihu.compose import Parts

CALL = "n1-1772424000.1"


@dataclass
class Hotline:
    """The telephone side of the system with a scripted Asterisk."""

    parts: Parts
    clock: ManualClock
    control: ScriptedControl
    port: int
    callers: list[FakeCaller] = field(default_factory=list)

    def staff(self, *languages: str) -> None:
        """Agents 1, 2, …, signed in and with phones; one for each given language."""
        for i, language in enumerate(languages, 1):
            with self.parts.db.write() as session:
                session.add(
                    Agent(
                        id=i, number=f"100{i}", name=f"话务员{i}", languages=[language], queues=["general"], active=True
                    )
                )
            self.parts.agents.sign_in(i)
            self.parts.agents.phone(i, ready=True)
            self.clock.advance(1)

    def call(self, **script: Any) -> FakeCaller:
        caller = FakeCaller(self.port, clock=self.clock, **script)
        self.callers.append(caller)
        return caller.start()

    def kinds(self) -> list[str]:
        return [event.kind for event in self.parts.ledger.events(CALL)]

    def data(self, kind: str) -> list[dict[str, Any]]:
        return [event.data for event in self.parts.ledger.events(CALL) if event.kind == kind]

    def ended(self) -> tuple[str | None, str | None]:
        call = self.parts.ledger.get(CALL)
        assert call is not None
        return call.outcome, call.ended_by


@pytest.fixture
def hotline(parts: Parts, clock: ManualClock, tmp_path: Path) -> Iterator[Hotline]:
    folder = tmp_path / "prompts"
    for language in LANGUAGES:
        (folder / language).mkdir(parents=True)
        for prompt in shipped().prompts:
            (folder / language / f"{prompt}.wav").write_bytes(b"")
    parts.settings.capture_dir.mkdir(parents=True)
    control = ScriptedControl()
    as_control: CallControl = control
    services = CallServices(
        db=parts.db,
        clock=clock,
        policies=parts.policies,
        ledger=parts.ledger,
        agents=parts.agents,
        dispatcher=parts.dispatcher,
        recordings=parts.recordings,
        control=as_control,
        prompts=PromptStore(folder),
    )
    with AgiServer("127.0.0.1", 0, {"/call": CallHandler(services, FlowRegistry.load())}) as server:
        made = Hotline(parts, clock, control, server.port)
        yield made
        for caller in made.callers:
            caller.close()


def in_room(caller: FakeCaller) -> bool:
    return bool(caller.room)


def test_a_talk_that_the_agent_ends(hotline: Hotline, clock: ManualClock) -> None:
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, "1")])
    caller.wait_until(in_room)
    assert caller.room == f"call-{CALL}"
    assert hotline.parts.agents.state(1).state == State.TALKING
    assert caller.variables["YIHU_STAGE"] == "talking"
    clock.advance(30)
    caller.leave_room()
    caller.join()
    assert hotline.ended() == ("talked", "agent")
    assert caller.variables["YIHU_DONE"] == "1"
    assert hotline.data("joined") == [{"agent_id": 1, "number": "1001", "name": "话务员1"}]
    assert hotline.data("language") == [{"language": "zh"}]
    assert hotline.parts.agents.state(1).state == State.WRAP_UP
    assert [row.id for row in hotline.parts.recordings.of_call(CALL)] == [f"{CALL}-1"]
    assert [app for app, _ in caller.executed if "Monitor" in app] == ["MixMonitor", "StopMixMonitor"]


def test_a_talk_that_the_caller_ends(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, "1")])
    caller.wait_until(in_room)
    caller.hang_up()
    caller.join()
    assert hotline.ended() == ("talked", "caller")
    assert hotline.control.closed == [CALL], "the agent is not left alone in the room"
    assert hotline.data("left")[0]["because"] == "caller"
    assert hotline.parts.agents.state(1).state == State.WRAP_UP


def test_a_hang_up_that_is_told_late_is_still_the_callers(hotline: Hotline) -> None:
    """Real Asterisk: the room returns normally, HANGUP comes with the next command."""
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", RingResult.ANSWERED))

    def room(caller: FakeCaller, arguments: list[str]) -> int:
        return 0

    def stop(caller: FakeCaller, arguments: list[str]) -> int:
        caller.hang_up()
        return 0

    caller = FakeCaller(hotline.port, clock=hotline.clock, keys=[(1.0, "1")])
    caller.apps |= {"ConfBridge": room, "StopMixMonitor": stop}
    hotline.callers.append(caller)
    caller.start()
    caller.join()
    assert hotline.data("left")[0]["because"] == "caller"
    assert hotline.ended() == ("talked", "caller")
    assert hotline.control.closed == [CALL]


def test_doing_nothing_leads_to_a_person(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", RingResult.ANSWERED))
    caller = hotline.call()
    caller.wait_until(in_room)
    assert hotline.data("digit") == []
    caller.hang_up()
    caller.join()


def test_giving_up_while_waiting(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", None))
    caller = hotline.call(keys=[(1.0, "1")], hang_up_at=30.0)
    caller.join()
    assert hotline.ended() == ("abandoned_waiting", "caller")
    assert hotline.control.rings[0].cancelled, "the agent's phone stops ringing"
    assert hotline.parts.agents.state(1).state == State.AVAILABLE
    assert hotline.parts.dispatcher.position(CALL) is None


@pytest.mark.parametrize("moment", [0.5, 3.0])
def test_giving_up_in_the_greeting(hotline: Hotline, moment: float) -> None:
    hotline.staff("zh")
    caller = hotline.call(hang_up_at=moment)
    caller.join()
    assert hotline.ended() == ("abandoned_ivr", "caller")


@pytest.mark.parametrize(
    ("result", "state", "reason"),
    [
        (RingResult.NO_ANSWER, State.BREAK, MISSED_CALL),
        (RingResult.REJECTED, State.AVAILABLE, None),
        (RingResult.UNREACHABLE, State.AVAILABLE, None),
    ],
)
def test_an_agent_who_does_not_take_it_costs_no_place(
    hotline: Hotline, result: RingResult, state: State, reason: str | None
) -> None:
    hotline.staff("zh", "zh")
    hotline.control.script("agent1", ScriptedRing("agent1", result))
    hotline.control.script("agent2", ScriptedRing("agent2", RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, "1")])
    caller.wait_until(in_room)
    assert hotline.data("declined") == [{"agent_id": 1, "why": str(result)}]
    assert hotline.data("joined")[0]["agent_id"] == 2
    first = hotline.parts.agents.state(1)
    assert (first.state, first.reason) == (state, reason)
    assert first.phone_ready is (result is not RingResult.UNREACHABLE)
    caller.leave_room()
    caller.join()


def test_an_agent_lost_in_mid_talk(hotline: Hotline) -> None:
    hotline.staff("zh", "zh")
    lost = ScriptedRing("agent1", RingResult.ANSWERED, because=LeftBecause.LOST)
    hotline.control.script("agent1", lost)
    hotline.control.script("agent2", ScriptedRing("agent2", RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, "1")])
    caller.wait_until(in_room)
    caller.leave_room()
    caller.wait_until(lambda _: len(hotline.control.rings) == 2)
    caller.wait_until(in_room)
    assert any(path.endswith("wait-agent-lost") for path in caller.played)
    caller.leave_room()
    caller.join()
    assert [part["agent_id"] for part in hotline.data("joined")] == [1, 2]
    assert hotline.ended() == ("talked", "agent")
    assert hotline.parts.agents.state(1).phone_ready is False
    assert len(hotline.parts.recordings.of_call(CALL)) == 2


def test_nobody_signed_in(hotline: Hotline) -> None:
    caller = hotline.call(keys=[(1.0, "1")], message=Message(12.0, "#"))
    caller.join()
    assert hotline.ended() == ("message", "flow")
    assert any(path.endswith("no-agents") for path in caller.played)
    assert hotline.data("message")[0]["seconds"] == 12.0
    (recording,) = hotline.parts.recordings.of_call(CALL)
    assert recording.kind == "message"


def test_hanging_up_after_the_message_keeps_it(hotline: Hotline) -> None:
    caller = hotline.call(keys=[(1.0, "1")], message=Message(8.0, "hang-up"))
    caller.join()
    assert hotline.ended() == ("message", "caller")
    assert len(hotline.parts.recordings.of_call(CALL)) == 1


def test_an_empty_message_is_no_message(hotline: Hotline) -> None:
    caller = hotline.call(keys=[(1.0, "1")], message=Message(0.0))
    caller.join()
    assert hotline.ended() == ("not_served", "flow")
    assert hotline.parts.recordings.of_call(CALL) == []


def test_a_long_wait_is_told_and_ends_with_a_message(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.parts.dispatcher.enqueue(_other(hotline), "general", "zh", 5)
    assert hotline.parts.dispatcher.claim(_other(hotline)) is not None
    caller = hotline.call(keys=[(1.0, "1")], message=Message(5.0))
    caller.join()
    assert hotline.ended()[0] == "message"
    assert hotline.kinds().count("notice") >= 5
    assert any(path.endswith("wait-busy") for path in caller.played)


def _other(hotline: Hotline) -> str:
    other = "n1-1772424000.2"
    hotline.parts.ledger.open(other, "1", "12345")
    return other


@pytest.mark.parametrize(("key", "language"), [("1", "zh"), ("2", "ug")])
def test_the_language_key_chooses_the_agent(hotline: Hotline, key: str, language: str) -> None:
    hotline.staff("zh", "ug")
    for phone in ("agent1", "agent2"):
        hotline.control.script(phone, ScriptedRing(phone, RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, key)])
    caller.wait_until(in_room)
    assert hotline.data("joined")[0]["agent_id"] == {"zh": 1, "ug": 2}[language]
    caller.hang_up()
    caller.join()


def test_key_9_with_nobody_there_reaches_the_emergency_line(hotline: Hotline) -> None:
    caller = FakeCaller(hotline.port, clock=hotline.clock, keys=[(1.0, "9")], variables={"DIALSTATUS": "ANSWER"})
    hotline.callers.append(caller)
    caller.start()
    caller.join()
    dialled = [arguments for app, arguments in caller.executed if app == "Dial"]
    assert dialled[0][0] == "Local/110@emergency/n"
    assert hotline.ended()[0] == "emergency"
    assert [event["result"] for event in hotline.data("emergency")] == ["dialled", "talked"]


def test_key_9_while_waiting(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.control.script("agent1", ScriptedRing("agent1", None), ScriptedRing("agent1", RingResult.ANSWERED))
    caller = hotline.call(keys=[(1.0, "1"), (15.0, "9")])
    caller.wait_until(in_room)
    assert hotline.data("queued")[1]["priority"] == 1000
    caller.leave_room()
    caller.join()


def test_without_the_manager_link_the_safety_net_takes_the_caller(hotline: Hotline) -> None:
    hotline.staff("zh")
    hotline.control.down = True
    caller = hotline.call(keys=[(1.0, "1")])
    caller.join()
    assert "YIHU_DONE" not in caller.variables
    call = hotline.parts.ledger.get(CALL)
    assert call is not None
    assert call.ended_at is None, "the caller is still on the line"
    assert hotline.parts.agents.state(1).state == State.AVAILABLE


def test_a_dead_database_leads_to_the_safety_net(hotline: Hotline, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> bool:
        raise RuntimeError("database is gone")

    monkeypatch.setattr(hotline.parts.ledger, "open", broken)
    caller = hotline.call()
    caller.join()
    assert "YIHU_DONE" not in caller.variables


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("15409980001", "15409980001"),
        ("+86 154-0998", "+861540998"),
        ('a"\nEXEC System "id', ""),
        ("张三", ""),
        ("9" * 200, "9" * 40),
    ],
)
def test_numbers_are_cleaned(given: str, kept: str) -> None:
    assert number(given) == kept


def test_a_hostile_caller_id_is_stored_clean(hotline: Hotline) -> None:
    caller = hotline.call(number="1' OR 1=1; --", hang_up_at=1.0)
    caller.join()
    call = hotline.parts.ledger.get(CALL)
    assert call is not None
    assert call.caller_number == "111"


def test_a_channel_without_a_call_id_is_left_to_the_net(hotline: Hotline) -> None:
    caller = hotline.call(call_id="../../etc/passwd")
    caller.join()
    assert caller.commands == []
