"""The link against every way in which our picture and Asterisk's can differ."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import pytest

from agi.ami import AmiClient, AmiEvent
from agi.link import Link
from agi.reconcile import Reconciler
from core.clock import ManualClock
from routing.agents import State
from routing.control import Presence, RingResult
from routing.models import Agent
from tests.agi.scripted import ScriptedControl
from yihu.compose import Parts

CALL = "n1-1772424000.1"


@dataclass
class _Subscription:
    callback: Callable[[AmiEvent], None]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@dataclass
class Ami:
    """The part of AmiClient that the link uses."""

    ready: bool = True
    hooks: list[Callable[[], None]] = field(default_factory=list)
    heard: Callable[[Any], None] = lambda event: None

    def on_connect(self, hook: Callable[[], None]) -> None:
        self.hooks.append(hook)

    def subscribe(self, *patterns: str, callback: Callable[[Any], None]) -> _Subscription:
        self.heard = callback
        return _Subscription(callback)


@dataclass
class Control(ScriptedControl):
    now: Presence = field(default_factory=lambda: Presence(frozenset(), {}, frozenset()))
    members: list[tuple[str, bool, bool]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)

    def presence(self) -> Presence:
        return self.now

    def fallback_member(self, phone: str, *, present: bool, paused: bool = False) -> None:
        self.members.append((phone, present, paused))

    def drop_lost(self, call_id: str, phone: str) -> None:
        self.lost.append((call_id, phone))


@dataclass
class World:
    parts: Parts
    clock: ManualClock
    ami: Ami
    control: Control
    link: Link

    def state(self, agent_id: int = 1) -> str:
        return self.parts.agents.state(agent_id).state

    def talk(self) -> None:
        self.parts.ledger.open(CALL, "15409980001", "12345")
        self.parts.dispatcher.enqueue(CALL, "general", "zh", 0)
        assert self.parts.dispatcher.claim(CALL) is not None
        self.parts.agents.talking(1, CALL)
        self.parts.dispatcher.leave(CALL)


@pytest.fixture
def world(parts: Parts, clock: ManualClock, tmp_path: Path) -> World:
    with parts.db.write() as session:
        session.add(Agent(id=1, number="1001", name="张小雨", languages=["zh"], queues=["general"], active=True))
    parts.agents.sign_in(1)
    parts.agents.phone(1, ready=True)
    ami, control = Ami(), Control()
    reconciler = Reconciler(parts.db, clock, parts.ledger, parts.agents, parts.recordings, tmp_path / "none.csv")
    link = Link(parts.db, clock, parts.ledger, parts.agents, control, cast("AmiClient", ami), reconciler)
    return World(parts, clock, ami, control, link)


def contact(status: str, endpoint: str = "agent1") -> Any:
    return {"EndpointName": endpoint, "AOR": endpoint, "ContactStatus": status}


def test_phones_follow_their_registration(world: World) -> None:
    world.link._on_contact(contact("Removed"))
    assert world.parts.agents.state(1).phone_ready is False
    world.link._on_contact(contact("Created"))
    assert world.parts.agents.state(1).phone_ready is True
    world.link._on_contact(contact("Created", "trunk"))
    world.link._on_contact(contact("Created", "agent99"))


def test_a_phone_that_vanished_in_mid_call_is_dropped(world: World) -> None:
    world.talk()
    world.parts.agents.phone(1, ready=False)
    world.link._phone_gone(1)
    assert world.control.lost == [(CALL, "agent1")]


def test_a_phone_that_came_back_is_left_alone(world: World) -> None:
    world.talk()
    world.link._phone_gone(1)
    assert world.control.lost == []


def test_after_a_broken_link_phones_are_compared(world: World) -> None:
    world.link._sweep()
    assert world.parts.agents.state(1).phone_ready is False
    world.control.now = Presence(frozenset(), {}, frozenset({"agent1"}))
    world.link._sweep()
    assert world.parts.agents.state(1).phone_ready is True


def test_asterisks_own_queue_follows_the_agents(world: World) -> None:
    world.link._sync_members()
    world.link._sync_members()
    assert world.control.members == [("agent1", True, False)]
    world.parts.agents.pause(1, "meal")
    world.link._sync_members()
    world.parts.agents.sign_out(1)
    world.link._sync_members()
    assert world.control.members[1:] == [("agent1", True, True), ("agent1", False, False)]


def test_a_call_without_channel_and_session_is_closed(world: World) -> None:
    world.talk()
    world.link._sweep()
    world.clock.advance(30)
    world.link._sweep()
    assert world.parts.ledger.open_calls(), "Asterisk's log comes first"
    world.link.reconciler.run()
    world.link._sweep()
    call = world.parts.ledger.get(CALL)
    assert call is not None
    assert call.ended_by == "system"
    assert world.state() == State.WRAP_UP


def test_a_living_call_is_left_alone(world: World) -> None:
    world.talk()
    world.control.now = Presence(frozenset({CALL}), {}, frozenset({"agent1"}))
    world.clock.advance(300)
    world.link._sweep()
    assert world.parts.ledger.open_calls()
    assert world.state() == State.TALKING


def test_an_agent_whose_ringing_session_died_is_freed(world: World) -> None:
    world.parts.ledger.open(CALL, "1", "12345")
    world.parts.dispatcher.enqueue(CALL, "general", "zh", 0)
    world.parts.dispatcher.claim(CALL)
    world.parts.agents.ringing(1, CALL)
    world.control.now = Presence(frozenset({CALL}), {}, frozenset({"agent1"}))
    world.clock.advance(20)
    world.link._sweep()
    assert world.state() == State.RINGING, "its waiting session may still live"
    world.clock.advance(30)
    world.link._sweep()
    assert world.state() == State.AVAILABLE


def test_a_room_without_its_caller_is_emptied_at_the_second_look(world: World) -> None:
    world.control.now = Presence(frozenset(), {f"call-{CALL}": ("PJSIP/agent1-1",)}, frozenset())
    world.link._sweep()
    assert world.control.closed == []
    world.link._sweep()
    assert world.control.closed == [CALL]


def test_the_loop_lives_through_faults(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    stop, beats = threading.Event(), []

    def broken() -> int:
        raise RuntimeError("database is gone")

    monkeypatch.setattr("agi.link.TICK_SECONDS", 0.01)
    monkeypatch.setattr(world.parts.agents, "tick", broken)

    def beat() -> None:
        beats.append(1)
        if len(beats) == 5:
            stop.set()

    world.link.run(stop, beat)
    assert len(beats) == 5
    assert world.control.members, "the other steps went on"


def test_missed_calls_do_not_free_a_talking_agent(world: World) -> None:
    world.talk()
    world.parts.agents.missed(1, "n1-1772424000.7", RingResult.NO_ANSWER)
    assert world.state() == State.TALKING
