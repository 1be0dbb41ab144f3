"""Call control's races and faults, which only a fake can produce at will. What is usual is in tests/contracts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from agi.ami import AmiClient
from agi.ami_wire import AmiEvent
from agi.control import AmiCallControl
from agi.errors import BadArgument
from agi.phones import BROWSER, PLAIN
from agi.ring import AmiRing
from core.errors import Unavailable
from routing.control import CallControl, LeftBecause, Ring, RingResult
from tests.fake_asterisk import FakeAmi
from tests.fake_asterisk.switch import Action

CALL = "n1-1772424000.7"


@pytest.fixture
def fake() -> Iterator[FakeAmi]:
    with FakeAmi() as fake:
        fake.switch.phones.add("agent1")
        yield fake


@pytest.fixture
def ami(fake: FakeAmi) -> Iterator[AmiClient]:
    with AmiClient("127.0.0.1", fake.port, "yihu", "secret", action_seconds=1.0) as ami:
        assert ami.wait_ready(5)
        yield ami


@pytest.fixture
def control(ami: AmiClient) -> Iterator[AmiCallControl]:
    control = AmiCallControl(ami)
    yield control
    control.close()


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def event(name: str, **headers: str) -> AmiEvent:
    return AmiEvent({"Event": name, **headers})


def ring() -> AmiRing:
    return AmiRing("leg", 20, 1, lambda channel: None, lambda: None)


def test_it_is_what_routing_asks_for(control: AmiCallControl) -> None:
    asked: CallControl = control
    rung: Ring = ring()
    assert asked is not None
    assert rung.channel == "leg"


CREATED = event("Newchannel")
REFUSED = event("HangupRequest", Cause="21")
ANSWERED = event("OriginateResponse", Response="Success", Reason="4")
FAILED = event("OriginateResponse", Response="Failure", Reason="0")
RANG_OUT = event("OriginateResponse", Response="Failure", Reason="3")
BUSY = event("OriginateResponse", Response="Failure", Reason="5")


def ended(cause: str, state: str = "5") -> AmiEvent:
    return event("Hangup", Cause=cause, ChannelState=state)


@pytest.mark.parametrize(
    ("events", "result"),
    [
        # The originate's own end and the channel's come in either order.
        ([CREATED, REFUSED, FAILED, ended("21")], RingResult.REJECTED),
        ([CREATED, REFUSED, ended("21"), FAILED], RingResult.REJECTED),
        ([CREATED, FAILED, REFUSED, ended("17")], RingResult.REJECTED),
        ([FAILED, CREATED, REFUSED, ended("19")], RingResult.REJECTED),
        ([CREATED, RANG_OUT, ended("19")], RingResult.NO_ANSWER),
        ([CREATED, ended("19"), RANG_OUT], RingResult.NO_ANSWER),
        ([CREATED, BUSY, ended("17")], RingResult.REJECTED),
        ([CREATED, REFUSED, ended("1"), FAILED], RingResult.UNREACHABLE),  # 404, 500 and the like
        ([CREATED, REFUSED, ended("18"), FAILED], RingResult.UNREACHABLE),  # no answer to the INVITE
        ([FAILED], RingResult.UNREACHABLE),
        ([CREATED, ANSWERED], RingResult.ANSWERED),
        ([CREATED, ended("16", "6")], RingResult.ANSWERED),  # answered and gone before we were told
        ([CREATED], None),
        ([], None),
    ],
)
def test_outcomes(events: list[AmiEvent], result: RingResult | None) -> None:
    leg = ring()
    for each in events:
        leg.take(each)
    assert leg.wait(1.0 if result is not None else 0.01) is result
    assert leg.over == (any(each.name == "Hangup" for each in events) or events == [FAILED])


@pytest.mark.parametrize(
    ("events", "because"),
    [
        ([event("HangupRequest"), ended("16", "6")], LeftBecause.HUNG_UP),
        ([event("HangupRequest"), ended("44", "6")], LeftBecause.HUNG_UP),
        ([ended("44", "6")], LeftBecause.LOST),
        ([ended("16", "6")], LeftBecause.REMOVED),
        ([], None),
    ],
)
def test_why_it_left(events: list[AmiEvent], because: LeftBecause | None) -> None:
    leg = ring()
    for each in [CREATED, ANSWERED, *events]:
        leg.take(each)
    assert leg.left(0) is because
    assert leg.wait(0) is RingResult.ANSWERED


def test_a_leg_that_was_answered_after_it_was_cancelled_is_taken_out(fake: FakeAmi, control: AmiCallControl) -> None:
    fake.switch.slow_channels = True
    leg = control.ring("agent1", CALL, "", 20)
    leg.cancel()  # Asterisk: no such channel
    assert leg.wait(0) is RingResult.CANCELLED
    fake.switch.answers["agent1"] = "answer"
    fake.switch.bring_up()
    fake.wait_for(lambda: len(fake.sent("Hangup")) >= 2)
    fake.switch.bring_up()
    assert leg.channel not in fake.switch.legs
    wait_until(lambda: leg.over)
    assert leg.wait(0) is RingResult.CANCELLED
    assert len(control._rings) == 0


def test_an_originate_without_answer_is_taken_back(fake: FakeAmi, control: AmiCallControl) -> None:
    """We do not know whether it rings: it must not ring on for nobody."""
    hold = threading.Event()

    def delay(action: Action) -> None:
        if action["Action"] == "Originate":
            hold.wait(5)

    fake.before = delay
    with pytest.raises(Unavailable):
        control.ring("agent1", CALL, "", 20)
    hold.set()
    wait_until(lambda: len(fake.sent("Hangup")) > 0 and not fake.switch.legs)
    assert len(fake.sent("Originate")) == 1


def test_an_originate_lost_with_the_link_is_taken_back(fake: FakeAmi, ami: AmiClient, control: AmiCallControl) -> None:
    def cut(action: Action) -> None:
        if action["Action"] == "Originate":
            fake.disconnect()

    fake.before = cut
    with pytest.raises(Unavailable):
        control.ring("agent1", CALL, "", 20)
    fake.before = None
    assert ami.wait_ready(5)
    wait_until(lambda: not fake.switch.legs)
    assert len(fake.sent("Originate")) == 1


def test_refused_by_asterisk(fake: FakeAmi, control: AmiCallControl, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(action: Action) -> Iterator[dict[str, str]]:
        yield {"Response": "Error", "Message": "Permission denied"}

    monkeypatch.setattr(fake.switch, "_do_originate", refuse)
    monkeypatch.setattr(fake.switch, "_do_dbput", refuse)
    monkeypatch.setattr(fake.switch, "_do_coreshowchannels", refuse)
    monkeypatch.setattr(fake.switch, "_do_queueadd", refuse)
    with pytest.raises(Unavailable, match="Permission denied"):
        control.ring("agent1", CALL, "", 20)
    with pytest.raises(Unavailable, match="Permission denied"):
        control.provision_phone("agent1", "pw")
    with pytest.raises(Unavailable, match="Permission denied"):
        control.presence()
    with pytest.raises(Unavailable, match="Permission denied"):
        control.fallback_member("agent1", present=True)


def test_without_a_link_everything_is_unavailable(fake: FakeAmi, ami: AmiClient, control: AmiCallControl) -> None:
    leg = control.ring("agent1", CALL, "", 20)
    fake.refuse = True
    fake.disconnect()
    wait_until(lambda: not ami.ready)
    attempts: list[Callable[[], object]] = [
        lambda: control.ring("agent1", CALL, "", 20),
        lambda: control.provision_phone("agent1", "pw"),
        lambda: control.remove_phone("agent1"),
        lambda: control.hang_up(CALL),
        lambda: control.close_room(CALL),
        lambda: control.remove_party(CALL, "agent1"),
        lambda: control.drop_lost(CALL, "agent1"),
        lambda: control.hold(CALL, "agent1", True),
        lambda: control.fallback_member("agent1", present=True),
        lambda: control.presence(),
        lambda: leg.cancel(),
    ]
    for attempt in attempts:
        with pytest.raises(Unavailable):
            attempt()
    assert leg.wait(0) is RingResult.CANCELLED
    fake.refuse = False
    assert ami.wait_ready(10)
    wait_until(lambda: not fake.switch.legs)  # what could not be cancelled then is cancelled now


def test_ringing_that_is_long_over_asks_instead_of_waiting(fake: FakeAmi, ami: AmiClient) -> None:
    looked: list[int] = []
    leg = AmiRing("leg", -6.0, 1, lambda channel: None, lambda: looked.append(1))
    assert leg.wait(0) is None
    assert looked == [1]

    def unavailable() -> None:
        raise Unavailable("no link")

    leg = AmiRing("leg", -6.0, 1, lambda channel: None, unavailable)
    with pytest.raises(Unavailable):
        leg.wait(0)


def test_events_that_were_lost_are_asked_for(fake: FakeAmi, ami: AmiClient, control: AmiCallControl) -> None:
    """A flood fills the subscription; the leg's own events are among the lost ones."""
    leg = control.ring("agent1", CALL, "", 20)
    wait_until(lambda: leg.channel in fake.switch.legs)
    control._events._size = 5
    leg._began -= 10
    hold = threading.Event()
    taken = control._rings.take

    def take_late(event: AmiEvent) -> None:
        hold.wait(5)
        taken(event)

    control._rings.take = take_late  # type: ignore[method-assign]
    for _ in range(20):
        fake.event("Newchannel", Uniqueid="other")
    fake.switch.refuse("agent1")
    assert ami.action("Ping").success
    hold.set()
    assert leg.wait(5) is RingResult.UNREACHABLE


def test_rings_that_are_over_are_forgotten(fake: FakeAmi, control: AmiCallControl) -> None:
    for answer in ("reject", "busy", "answer"):
        fake.switch.answers["agent1"] = answer
        for _ in range(10):
            leg = control.ring("agent1", CALL, "", 20)
            assert leg.wait(5) is not None
            if answer == "answer":
                fake.switch.leave("agent1")
                assert leg.left(5) is LeftBecause.HUNG_UP
    wait_until(lambda: len(control._rings) == 0)
    for _ in range(2):
        control.ring("agent9", CALL, "", 20).wait(2)
    control.ring("agent9", CALL, "", 20)
    assert len(control._rings) == 1


def test_many_rings_at_once(fake: FakeAmi, control: AmiCallControl) -> None:
    results: list[tuple[RingResult | None, LeftBecause | None]] = []

    def work(number: int) -> None:
        phone = f"agent{number}"
        fake.switch.phones.add(phone)
        fake.switch.answers[phone] = "answer"
        leg = control.ring(phone, f"n1-1.{number}", "", 20)
        result = leg.wait(10)
        fake.switch.leave(phone)
        results.append((result, leg.left(10)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(100, 130)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [(RingResult.ANSWERED, LeftBecause.HUNG_UP)] * 30


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        ("15409980001", "<15409980001>"),
        ("+86 998-0120001", "<+869980120001>"),
        ("", "anonymous"),
        ('1"<2>,evil\r\nAction: x', "<12>"),
        ("anonymous", "anonymous"),
        ("9" * 60, "<" + "9" * 40 + ">"),
    ],
)
def test_the_callers_number_is_only_a_number(fake: FakeAmi, control: AmiCallControl, number: str, shown: str) -> None:
    control.ring("agent1", CALL, number, 20)
    (action,) = fake.sent("Originate")
    assert action["CallerID"] == shown


def test_what_the_originate_says(fake: FakeAmi, control: AmiCallControl) -> None:
    leg = control.ring("agent1", CALL, "15409980001", 12.5)
    (action,) = fake.sent("Originate")
    assert leg.channel.startswith(f"leg-{CALL}-agent1-")
    assert {name: action[name] for name in ("Channel", "ChannelId", "Context", "Exten", "Timeout", "Async")} == {
        "Channel": "PJSIP/agent1",
        "ChannelId": leg.channel,
        "Context": "agent-leg",
        "Exten": "s",
        "Timeout": "12500",
        "Async": "true",
    }
    assert action.all("Variable") == [f"YIHU_CALL_ID={CALL}"]


@pytest.mark.parametrize("name", ["", "Agent1", "agent1,PJSIP/trunk", "agent1\r\n", "trunk/110", "a" * 41, "agent 1"])
def test_names_of_phones_are_names_of_phones(fake: FakeAmi, control: AmiCallControl, name: str) -> None:
    for attempt in (
        lambda: control.ring(name, CALL, "", 5),
        lambda: control.provision_phone(name, "pw"),
        lambda: control.remove_phone(name),
        lambda: control.remove_party(CALL, name),
        lambda: control.drop_lost(CALL, name),
        lambda: control.hold(CALL, name, True),
        lambda: control.fallback_member(name, present=True),
    ):
        with pytest.raises(BadArgument):
            attempt()


@pytest.mark.parametrize("call_id", ["", "a,b", "a b", "x\r\n", "n1|1", "x" * 65, "../x"])
def test_call_ids_are_call_ids(fake: FakeAmi, control: AmiCallControl, call_id: str) -> None:
    for attempt in (
        lambda: control.ring("agent1", call_id, "", 5),
        lambda: control.hang_up(call_id),
        lambda: control.close_room(call_id),
        lambda: control.remove_party(call_id, "agent1"),
        lambda: control.drop_lost(call_id, "agent1"),
        lambda: control.hold(call_id, "agent1", False),
    ):
        with pytest.raises(BadArgument):
            attempt()
    assert {action["Action"] for action in fake.actions} <= {"Login", "Ping"}


def test_removing_a_phone_ends_its_registration_only(fake: FakeAmi, control: AmiCallControl) -> None:
    fake.switch.phones.add("agent11")
    contact = "agent1;@0123456789abcdef"
    fake.switch.database["registrar/contact", contact] = "{}"
    control.provision_phone("agent1", "pw")
    control.remove_phone("agent1")
    assert not fake.switch.database
    assert [action["Key"] for action in fake.sent("DBDel")][-1] == contact
    assert not any(action["Key"].startswith("agent11;") for action in fake.sent("DBDel"))


@pytest.mark.parametrize("template", [BROWSER, PLAIN])
def test_rows_of_a_phone_fit_a_line(template: object) -> None:
    assert template in (BROWSER, PLAIN)
    rows = (BROWSER if template is BROWSER else PLAIN).rows("a" * 40, 'x"' + "p" * 60)
    assert list(rows) == ["auth", "aor", "endpoint"]
    assert all(len(row) < 900 for row in rows.values())
    assert json.loads(rows["auth"])["password"] == 'x"' + "p" * 60
    assert json.loads(rows["endpoint"])["identify_by"] == "username"
