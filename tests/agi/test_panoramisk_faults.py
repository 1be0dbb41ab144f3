"""Each known fault of panoramisk 1.4: shown in plain panoramisk where that is cheap, and absent from our link."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from panoramisk.actions import Action as PlainAction
from panoramisk.ami_protocol import AMIProtocol
from panoramisk.manager import Manager

import agi
from agi.ami import AmiClient, AmiEvent
from agi.ami_wire import Wire
from agi.errors import BadArgument
from core.errors import Unavailable
from tests.fake_asterisk import FakeAmi
from tests.fake_asterisk.switch import Action

NAME = "王小明"
EVENT = f"Event: Newchannel\r\nCallerIDName: {NAME}\r\n\r\n".encode()


@pytest.fixture
def fake() -> Iterator[FakeAmi]:
    with FakeAmi() as fake:
        yield fake


@pytest.fixture
def ami(fake: FakeAmi) -> Iterator[AmiClient]:
    with AmiClient("127.0.0.1", fake.port, "yihu", "secret", action_seconds=2.0, ping_seconds=0.2) as ami:
        assert ami.wait_ready(5)
        yield ami


class PlainPanoramisk:
    """panoramisk's protocol and manager without a socket."""

    def __init__(self) -> None:
        self.manager = Manager()
        self.events: list[Any] = []
        self.manager.register_event("*", lambda manager, event: self.events.append(event))
        self.protocol = AMIProtocol()
        self.written: list[bytes] = []
        self.closed = False
        self.protocol.connection_made(self)
        self.protocol.factory, self.protocol.encoding = self.manager, "utf8"

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)


def test_utf8_split_between_chunks(fake: FakeAmi, ami: AmiClient) -> None:
    plain = PlainPanoramisk()
    cut = EVENT.index("小".encode()) + 1
    plain.protocol.data_received(EVENT[:cut])
    plain.protocol.data_received(EVENT[cut:])
    assert plain.events[0].calleridname == "王明"
    for cut in range(1, len(EVENT)):
        got: list[Any] = []
        wire = Wire(got.append, lambda: None)
        wire.data_received(EVENT[:cut])
        wire.data_received(EVENT[cut:])
        assert [event.calleridname for event in got] == [NAME]
    with ami.subscribe("Newchannel") as events:
        fake.piece = 1
        fake.raw(EVENT)
        received = events.get(5)
    assert received is not None
    assert received["CallerIDName"] == NAME


def test_a_raising_callback_does_not_drop_the_connection(fake: FakeAmi, ami: AmiClient) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    plain = PlainPanoramisk()
    plain.manager.register_event("Newchannel", fail)
    with pytest.raises(ZeroDivisionError):  # asyncio then closes the transport
        plain.protocol.data_received(EVENT)
    generation = ami.generation
    with ami.subscribe("Newchannel", callback=fail), ami.subscribe("Newchannel") as others:
        for _ in range(3):
            fake.raw(EVENT)
            assert others.get(5) is not None
    assert ami.action("Ping").success
    assert ami.generation == generation


@pytest.mark.parametrize("end", ["\r\n", "\n", "\r", "\0"])
def test_a_value_is_never_another_action(fake: FakeAmi, ami: AmiClient, end: str) -> None:
    value = f"x{end}{end}Action: Originate"

    async def plain() -> str:
        return str(PlainAction({"Action": "DBPut", "Val": value}))

    assert f"Val: {value}" in asyncio.run(plain())
    before = len(fake.actions)
    for headers in ({"Val": value}, {"Variable": ["a=b", value]}, {f"Val{end}X": "1"}, {"Action": "x"}, {"a b": "1"}):
        with pytest.raises(BadArgument):
            ami.action("DBPut", **headers)
        with pytest.raises(BadArgument):
            ami.post("DBPut", **headers)
    with pytest.raises(BadArgument):
        ami.action("DBPut", Val="x" * 1000)  # Asterisk would drop the line
    ami.action("DBPut", Family="a", Key="b", Val="c")
    assert [action["Action"] for action in fake.actions[before:] if action["Action"] != "Ping"] == ["DBPut"]


def test_actions_have_a_time_out_and_leave_nothing(fake: FakeAmi) -> None:
    async def plain() -> tuple[bool, int]:
        plain = PlainPanoramisk()
        futures = [plain.protocol.send({"Action": "CoreShowChannels"}) for _ in range(50)]
        await asyncio.sleep(0.05)
        return any(future.done() for future in futures), len(plain.protocol.responses)

    assert asyncio.run(plain()) == (False, 50)
    hold = threading.Event()

    def delay(action: Action) -> None:
        if action["Action"] == "DBGet":
            hold.wait(5)

    fake.before = delay
    with AmiClient("127.0.0.1", fake.port, "yihu", "secret", ping_seconds=30) as ami:
        assert ami.wait_ready(5)
        wire = ami._wire
        assert wire is not None
        began = time.monotonic()
        with pytest.raises(Unavailable, match="DBGet"):
            ami.action("DBGet", seconds=0.05, Family="a", Key="b")
        assert time.monotonic() - began < 1
        wait_until(lambda: not wire.pending, 2)
        hold.set()
        assert ami.action("Ping").success  # the late answer went nowhere


def test_an_action_is_never_sent_twice(fake: FakeAmi, ami: AmiClient) -> None:
    async def plain() -> int:
        plain = PlainPanoramisk()
        plain.protocol.send({"Action": "Originate"})
        plain.protocol.close()
        return len(plain.manager.awaiting_actions)  # sent again after the next log-in

    assert asyncio.run(plain()) == 1
    fake.before = lambda action: fake.disconnect() if action["Action"] == "Originate" else None
    generation = ami.generation
    with pytest.raises(Unavailable, match="lost"):
        ami.action("Originate", Channel="PJSIP/agent1", ChannelId="leg-1", Async=True)
    wait_until(lambda: ami.generation > generation)
    ami.action("CoreShowChannels")
    assert len(fake.sent("Originate")) == 1


def test_a_link_that_does_not_answer_is_noticed(fake: FakeAmi, ami: AmiClient) -> None:
    """panoramisk sends pings and never looks for the answer."""
    fake.silent = True
    generation = ami.generation
    wait_until(lambda: not ami.ready, 2)
    with pytest.raises(Unavailable):
        ami.action("CoreShowChannels")
    fake.silent = False
    assert ami.wait_ready(10)
    assert ami.generation > generation


def test_events_while_the_link_was_down_are_lost_so_everybody_is_told(fake: FakeAmi, ami: AmiClient) -> None:
    told: list[int] = []
    ami.on_connect(lambda: told.append(ami.generation))
    wait_until(lambda: told == [1])  # also when it is up already
    for expected in (2, 3):
        fake.disconnect()
        wait_until(lambda number=expected: told[-1] == number)  # type: ignore[misc]
    assert told == [1, 2, 3]


def test_a_hook_that_fails_or_takes_long_hurts_nobody(fake: FakeAmi, ami: AmiClient) -> None:
    listed: list[bool] = []

    def fail() -> None:
        raise ZeroDivisionError

    ami.on_connect(fail)
    ami.on_connect(lambda: listed.append(ami.action("CoreShowChannels").success))
    wait_until(lambda: listed == [True])


def test_lists_are_gathered_whole_and_the_next_one_is_its_own(fake: FakeAmi, ami: AmiClient) -> None:
    for number in range(300):
        fake.switch.add_channel(f"n1-1.{number}", f"PJSIP/trunk-{number:08x}")
    fake.piece = 97
    for _ in range(3):
        assert len(ami.action("CoreShowChannels").events) == 300
    fake.piece = None
    empty = ami.action("ConfbridgeListRooms")
    assert (empty.success, empty.message, empty.events) == (False, "No active conferences.", ())


def test_a_list_that_is_cut_off_or_has_no_end(fake: FakeAmi, ami: AmiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(count: int, last: dict[str, str]) -> Callable[[object], Iterator[dict[str, str]]]:
        def answer(_: object) -> Iterator[dict[str, str]]:
            yield {"Response": "Success", "EventList": "start"}
            for _number in range(count):
                yield {"Event": "CoreShowChannel"}
            yield last

        return answer

    monkeypatch.setattr("agi.ami_wire.MAX_LIST", 100)
    monkeypatch.setattr(fake.switch, "_do_endless", rows(101, {}), raising=False)
    monkeypatch.setattr(fake.switch, "_do_cut", rows(3, {"Event": "X", "EventList": "cancelled"}), raising=False)
    monkeypatch.setattr(fake.switch, "_do_mute", rows(3, {"Event": "CoreShowChannel"}), raising=False)
    for name, why in (("Endless", "no end"), ("Cut", "cut off"), ("Mute", "did not answer")):
        with pytest.raises(Unavailable, match=why):
            ami.action(name, seconds=0.3)
    assert ami.action("Ping").success


def test_the_end_of_an_originate_is_an_event(fake: FakeAmi, ami: AmiClient) -> None:
    """panoramisk waits for OriginateResponse as the action's answer, for as long as the phone rings, and tells no
    subscriber of it."""
    with ami.subscribe("OriginateResponse") as events:
        response = ami.action("Originate", Channel="PJSIP/agent1", ChannelId="leg-1", Async=True)
        event = events.get(5)
    assert response.success
    assert event is not None
    assert event["Response"] == "Failure"


def test_a_message_without_end_ends_the_connection(fake: FakeAmi, ami: AmiClient) -> None:
    generation = ami.generation
    fake.raw(b"Event: X\r\nKey: " + b"x" * (5 << 20))
    wait_until(lambda: ami.generation > generation)


def test_odd_messages_hurt_nobody(fake: FakeAmi, ami: AmiClient) -> None:
    with ami.subscribe("Hangup") as events:
        fake.raw(b"\r\n\r\nnonsense\r\n\r\nEvent\r\n\r\n: \r\n\r\nResponse: Follows\r\n\r\n\xff\xfe\r\n\r\n")
        fake.raw(b"Response: Success\r\nActionID: unknown\r\n\r\n")
        fake.event("Hangup", Uniqueid="1")
        event = events.get(5)
    assert event is not None
    assert event["Uniqueid"] == "1"


def test_the_parts_of_panoramisk_that_cannot_be_mended_are_not_used() -> None:
    for path in Path(agi.__file__).parent.glob("*.py"):
        text = path.read_text("utf-8")
        assert "CallManager" not in text, path
        assert "panoramisk.fast_agi" not in text, path
        assert "panoramisk.call_manager" not in text, path


def test_an_events_headers() -> None:
    event = AmiEvent({"Event": "Hangup", "ChanVariable": ["a=1", "b=2"], "Cause": "16"})
    assert (event.name, event["cause"], event["Nothing"], event.get("nothing", "x")) == ("Hangup", "16", "", "x")
    assert event.all("chanvariable") == ["a=1", "b=2"]
    assert event["chanvariable"] == "a=1"
    assert event.all("cause") == ["16"]
    assert "16" not in repr(event)
