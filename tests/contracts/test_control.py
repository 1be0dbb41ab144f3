"""Call control on the fake and on the real Asterisk: the same events, the same outcomes."""

from __future__ import annotations

import time

import pytest

from agi.ring import AmiRing
from routing.control import LeftBecause, RingResult, room_name
from tests.contracts.exchange import Exchange, FakeExchange, Phone, RealExchange, wait_until
from tests.contracts.phone import WsPhone

CALL = "n1-1772424000.7"
NUMBER = "15409980001"


def in_room(exchange: Exchange, phone: Phone) -> bool:
    room = exchange.control.presence().rooms.get(room_name(CALL), ())
    return any(channel.startswith(f"PJSIP/{phone.name}-") for channel in room)


def answered(exchange: Exchange, name: str = "agent1") -> tuple[Phone, AmiRing]:
    phone = exchange.phone(name)
    ring = exchange.control.ring(name, CALL, NUMBER, 20)
    wait_until(phone.rings)
    phone.answer()
    assert ring.wait(5) is RingResult.ANSWERED
    wait_until(lambda: in_room(exchange, phone))
    return phone, ring


def test_nobody_registered(exchange: Exchange) -> None:
    exchange.control.provision_phone("agent7", "pw")
    began = time.monotonic()
    assert exchange.control.ring("agent7", CALL, NUMBER, 20).wait(5) is RingResult.UNREACHABLE
    assert exchange.control.ring("agent8", CALL, NUMBER, 20).wait(5) is RingResult.UNREACHABLE
    assert time.monotonic() - began < 4


def test_answered_then_hung_up_by_the_agent(exchange: Exchange) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
    wait_until(phone.rings)
    assert ring.wait(0) is None
    phone.answer()
    assert ring.wait(5) is RingResult.ANSWERED
    wait_until(lambda: in_room(exchange, phone))
    assert ring.channel in exchange.control.presence().channels
    assert ring.left(0) is None
    phone.hang_up()
    assert ring.left(5) is LeftBecause.HUNG_UP
    assert ring.wait(0) is RingResult.ANSWERED
    wait_until(lambda: ring.channel not in exchange.control.presence().channels)
    assert NUMBER in phone.caller()


@pytest.mark.parametrize("status", ["603 Decline", "486 Busy Here", "480 Temporarily Unavailable"])
def test_rejected(exchange: Exchange, status: str) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
    wait_until(phone.rings)
    phone.reject(status)
    assert ring.wait(5) is RingResult.REJECTED


def test_not_answered(exchange: Exchange) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 1.5)
    wait_until(phone.rings)
    if isinstance(exchange, FakeExchange):
        exchange.fake.switch.ring_out("agent1")
    assert ring.wait(5) is RingResult.NO_ANSWER
    wait_until(phone.was_cancelled)


def test_cancelled_while_ringing(exchange: Exchange) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
    wait_until(phone.rings)
    ring.cancel()
    ring.cancel()
    assert ring.wait(5) is RingResult.CANCELLED
    wait_until(phone.was_cancelled)
    wait_until(lambda: ring.channel not in exchange.control.presence().channels)
    assert ring.left(1) is LeftBecause.REMOVED


def test_cancelled_before_it_rings(exchange: Exchange) -> None:
    exchange.phone("agent1")
    for _ in range(5):
        ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
        ring.cancel()
        assert ring.wait(1) is RingResult.CANCELLED
        time.sleep(0.05)
    wait_until(lambda: not any("leg-" in channel for channel in exchange.control.presence().channels))
    time.sleep(0.3)
    assert not any("leg-" in channel for channel in exchange.control.presence().channels)


def test_cancelled_just_when_it_is_answered(exchange: Exchange) -> None:
    phone, ring = answered(exchange)
    ring.cancel()
    assert ring.left(5) is LeftBecause.REMOVED
    wait_until(lambda: not in_room(exchange, phone))


def test_taken_out_of_the_room(exchange: Exchange) -> None:
    exchange.caller(CALL)
    first, ring = answered(exchange, "agent1")
    second, other = answered(exchange, "agent2")
    exchange.control.remove_party(CALL, "agent1")
    exchange.control.remove_party(CALL, "agent1")
    assert ring.left(5) is LeftBecause.REMOVED
    assert not in_room(exchange, first)
    assert in_room(exchange, second)
    exchange.control.close_room(CALL)
    assert other.left(5) is LeftBecause.REMOVED
    wait_until(lambda: room_name(CALL) not in exchange.control.presence().rooms)
    exchange.control.close_room(CALL)
    exchange.control.remove_party(CALL, "agent1")


def test_the_whole_call_is_ended(exchange: Exchange) -> None:
    exchange.caller(CALL)
    _, ring = answered(exchange)
    exchange.control.hang_up(CALL)
    assert ring.left(5) is LeftBecause.REMOVED
    wait_until(lambda: not exchange.control.presence().channels & {CALL, ring.channel})
    assert room_name(CALL) not in exchange.control.presence().rooms
    exchange.control.hang_up(CALL)


def test_a_phone_declared_lost(exchange: Exchange) -> None:
    phone, ring = answered(exchange)
    exchange.control.drop_lost(CALL, phone.name)
    assert ring.left(5) is LeftBecause.LOST
    exchange.control.drop_lost(CALL, phone.name)


@pytest.mark.slow
def test_a_phone_without_audio(exchange: Exchange) -> None:
    phone, ring = answered(exchange)
    exchange.lose_audio(phone)
    assert ring.left(15) is LeftBecause.LOST


def test_hold(exchange: Exchange) -> None:
    exchange.caller(CALL)
    phone, ring = answered(exchange)

    def music() -> int:
        room = exchange.control.presence().rooms.get(room_name(CALL), ())
        return sum(1 for name in exchange.control.presence().channels if name == f"music-{CALL}") * len(room)

    for _ in range(2):
        exchange.control.hold(CALL, "agent1", True)
        exchange.control.hold(CALL, "agent1", True)
        wait_until(lambda: music() == 3)
        exchange.control.hold(CALL, "agent1", False)
        exchange.control.hold(CALL, "agent1", False)
        wait_until(lambda: music() == 0)
        assert in_room(exchange, phone)
    exchange.control.hold(CALL, "agent1", True)
    wait_until(lambda: music() == 3)
    phone.hang_up()
    assert ring.left(5) is LeftBecause.HUNG_UP
    exchange.control.hang_up(CALL)
    wait_until(lambda: not exchange.control.presence().channels)
    exchange.control.hold(CALL, "agent1", True)  # nobody is there
    assert not exchange.control.presence().channels


def test_hold_music_ends_with_the_talk(exchange: Exchange) -> None:
    """The agent hangs up while the caller is on hold: the caller's next agent must not talk against music."""
    exchange.caller(CALL)
    phone, ring = answered(exchange)
    exchange.control.hold(CALL, "agent1", True)
    wait_until(lambda: f"music-{CALL}" in exchange.control.presence().channels)
    phone.hang_up()
    assert ring.left(5) is LeftBecause.HUNG_UP
    wait_until(lambda: f"music-{CALL}" not in exchange.control.presence().channels)
    wait_until(lambda: room_name(CALL) not in exchange.control.presence().rooms)
    exchange.control.hang_up(CALL)


def test_the_link_breaks_while_it_rings(exchange: Exchange) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
    wait_until(phone.rings)
    exchange.break_link()
    phone.answer()
    assert ring.wait(10) is RingResult.ANSWERED
    assert ring.left(0) is None
    exchange.break_link()
    phone.hang_up()
    assert ring.left(10) is LeftBecause.UNKNOWN


def test_the_link_breaks_while_it_rings_and_nobody_answers(exchange: Exchange) -> None:
    phone = exchange.phone("agent1")
    ring = exchange.control.ring("agent1", CALL, NUMBER, 20)
    wait_until(phone.rings)
    exchange.break_link()
    phone.reject()
    assert ring.wait(10) is RingResult.UNREACHABLE


def test_fallback_queue(exchange: Exchange) -> None:
    control = exchange.control
    for paused in (False, False, True, True, False):
        control.fallback_member("agent1", present=True, paused=paused)
        assert exchange.queue_members() == {"PJSIP/agent1": paused}
    for _ in range(2):
        control.fallback_member("agent1", present=False)
        assert exchange.queue_members() == {}


def test_presence(exchange: Exchange) -> None:
    empty = exchange.control.presence()
    assert (empty.channels, empty.rooms, empty.phones) == (frozenset(), {}, frozenset())
    exchange.caller(CALL)
    phone, ring = answered(exchange)
    presence = exchange.control.presence()
    assert {CALL, ring.channel} <= presence.channels
    assert len(presence.rooms[room_name(CALL)]) == 2
    assert presence.phones == {phone.name}
    exchange.control.hang_up(CALL)
    assert ring.left(5) is LeftBecause.REMOVED


def test_a_phone_can_register_at_once_and_no_longer_than_wanted(exchange: Exchange) -> None:
    if isinstance(exchange, FakeExchange):
        exchange.control.provision_phone("agent3", "one")
        assert {key for key in exchange.fake.switch.database if key[1] == "agent3"} == {
            (f"yihu/{kind}", "agent3") for kind in ("auth", "aor", "endpoint")
        }
        exchange.control.remove_phone("agent3")
        exchange.control.remove_phone("agent3")
        assert not exchange.fake.switch.database
        return
    assert isinstance(exchange, RealExchange)
    url = exchange.asterisk.settings.phone_ws_url

    def register(password: str) -> str:
        with WsPhone(url, "agent3", password) as phone:
            return phone.register()

    assert register("one").startswith("4")
    began = time.monotonic()
    exchange.control.provision_phone("agent3", "one")
    assert register("one") == "200 OK"
    assert time.monotonic() - began < 2
    assert register("two").startswith("4")
    exchange.control.provision_phone("agent3", "two")
    assert register("two") == "200 OK"
    assert register("one").startswith("4")
    with WsPhone(url, "agent3", "two") as phone:
        assert phone.register() == "200 OK"
        wait_until(lambda: "agent3" in exchange.control.presence().phones)
        exchange.control.remove_phone("agent3")
        wait_until(lambda: "agent3" not in exchange.control.presence().phones)
        assert exchange.control.ring("agent3", CALL, NUMBER, 5).wait(3) is RingResult.UNREACHABLE
        assert not phone.rung
    assert register("two").startswith("4")
