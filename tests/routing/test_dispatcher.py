"""Who gets whom: the rule as properties, the claim against real concurrency on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock
from routing.agents import MISSED_CALL, State
from routing.control import RingResult
from routing.dispatcher import FreeAgent, Waiting, assign, suits
from routing.models import Agent
from yihu.compose import Parts

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
LANGUAGES = ("zh", "ug")

moments = st.integers(0, 600).map(lambda seconds: NOW - timedelta(seconds=seconds))
callers = st.lists(
    st.builds(
        Waiting,
        call_id=st.uuids().map(str),
        queue=st.sampled_from(("main", "enterprise")),
        language=st.sampled_from(LANGUAGES),
        priority=st.integers(0, 2),
        enqueued_at=moments,
        excluded=st.frozensets(st.integers(1, 8), max_size=2),
    ),
    max_size=12,
)
free_agents = st.lists(
    st.builds(
        FreeAgent,
        agent_id=st.integers(1, 8),
        languages=st.frozensets(st.sampled_from(LANGUAGES), min_size=1),
        queues=st.frozensets(st.sampled_from(("main", "enterprise")), min_size=1),
        idle_since=moments,
    ),
    max_size=8,
    unique_by=lambda agent: agent.agent_id,
)


@given(callers, free_agents, st.sampled_from((0.0, 20.0, 1000.0)))
def test_assignment_is_fair_and_complete(waiting: list[Waiting], free: list[FreeAgent], fallback: float) -> None:
    given_ = assign(waiting, free, NOW, fallback)
    calls = {call.call_id: call for call in waiting}
    agents = {agent.agent_id: agent for agent in free}
    assert len(set(given_.values())) == len(given_), "an agent was given twice"
    for call_id, agent_id in given_.items():
        assert suits(calls[call_id], agents[agent_id], NOW, fallback)
    left = [agent for agent in free if agent.agent_id not in given_.values()]
    for call in waiting:
        if call.call_id in given_:
            continue
        assert not any(suits(call, agent, NOW, fallback) for agent in left), "a caller waits beside a free agent"
        # Nobody who came later, at no higher priority, got an agent that this caller could have had.
        for other_id, agent_id in given_.items():
            other = calls[other_id]
            if suits(call, agents[agent_id], NOW, fallback):
                assert (-other.priority, other.enqueued_at) <= (-call.priority, call.enqueued_at)


def _staff(parts: Parts, count: int, languages: list[str] | None = None) -> None:
    with parts.db.write() as session:
        for i in range(1, count + 1):
            session.add(
                Agent(
                    id=i,
                    number=f"10{i:02}",
                    name=f"话务员{i}",
                    languages=languages or ["zh"],
                    queues=["main"],
                    active=True,
                )
            )
    for i in range(1, count + 1):
        parts.agents.sign_in(i)
        parts.agents.phone(i, ready=True)


def _waiting(parts: Parts, number: int, language: str = "zh", priority: int = 0) -> str:
    call_id = f"n1-1772424000.{number}"
    parts.ledger.open(call_id, f"1540998{number:04}", "12345")
    parts.dispatcher.enqueue(call_id, "main", language, priority)
    return call_id


def test_two_processes_never_ring_one_agent_twice(parts: Parts) -> None:
    _staff(parts, 5)
    calls = [_waiting(parts, i) for i in range(20)]
    got: list[int] = []
    lock = threading.Lock()

    def try_for(call_id: str) -> None:
        for _ in range(3):
            agent = parts.dispatcher.claim(call_id)
            if agent is not None:
                with lock:
                    got.append(agent.id)
                return

    threads = [threading.Thread(target=try_for, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == len(set(got))
    # Nobody is forgotten: asking once more in order serves every agent.
    for call in calls:
        agent = parts.dispatcher.claim(call)
        if agent is not None:
            got.append(agent.id)
    assert sorted(got) == [1, 2, 3, 4, 5]


def test_first_come_first_served_and_priority_first_of_all(parts: Parts, clock: ManualClock) -> None:
    _staff(parts, 1)
    first = _waiting(parts, 1)
    clock.advance(1)
    second = _waiting(parts, 2)
    clock.advance(1)
    urgent = _waiting(parts, 3, priority=9)
    assert parts.dispatcher.position(first) == 2
    assert parts.dispatcher.claim(second) is None
    assert parts.dispatcher.claim(first) is None
    agent = parts.dispatcher.claim(urgent)
    assert agent is not None
    assert agent.id == 1


def test_a_dead_session_blocks_nobody(parts: Parts, clock: ManualClock) -> None:
    _staff(parts, 1)
    _waiting(parts, 1)
    clock.advance(60)
    second = _waiting(parts, 2)
    assert parts.dispatcher.claim(second) is not None


def test_language_first_then_anybody(parts: Parts, clock: ManualClock) -> None:
    _staff(parts, 1, ["zh"])
    call = _waiting(parts, 1, language="ug")
    assert parts.dispatcher.claim(call) is None
    for _ in range(3):
        clock.advance(7)
        parts.dispatcher.seen(call)
    assert parts.dispatcher.claim(call) is not None


def test_a_rejecting_agent_is_left_alone_for_a_while(parts: Parts, clock: ManualClock) -> None:
    _staff(parts, 1)
    call = _waiting(parts, 1)
    agent = parts.dispatcher.claim(call)
    assert agent is not None
    parts.agents.ringing(agent.id, call)
    parts.agents.missed(agent.id, call, RingResult.REJECTED)
    parts.dispatcher.unclaim(call, agent.id)
    assert parts.agents.state(agent.id).state == State.AVAILABLE
    assert parts.dispatcher.claim(call) is None
    for _ in range(4):
        clock.advance(10)
        parts.dispatcher.seen(call)
    assert parts.dispatcher.claim(call) is not None


def test_an_empty_seat_goes_on_break(parts: Parts) -> None:
    _staff(parts, 1)
    call = _waiting(parts, 1)
    assert parts.dispatcher.claim(call) is not None
    parts.agents.ringing(1, call)
    parts.agents.missed(1, call, RingResult.NO_ANSWER)
    state = parts.agents.state(1)
    assert (state.state, state.reason) == (State.BREAK, MISSED_CALL)


def test_wrap_up_and_wishes(parts: Parts, clock: ManualClock) -> None:
    _staff(parts, 1)
    call = _waiting(parts, 1)
    parts.dispatcher.claim(call)
    parts.agents.talking(1, call)
    parts.agents.pause(1, "meal")
    assert parts.agents.state(1).state == State.TALKING
    parts.agents.finished(1, call)
    state = parts.agents.state(1)
    assert (state.state, state.reason) == (State.BREAK, "meal")

    parts.agents.ready(1)
    parts.dispatcher.enqueue(call, "main", "zh", 0)
    parts.dispatcher.claim(call)
    parts.agents.talking(1, call)
    parts.agents.finished(1, call)
    assert parts.agents.state(1).state == State.WRAP_UP
    assert parts.agents.tick() == 0
    clock.advance(21)
    assert parts.agents.tick() == 1
    assert parts.agents.state(1).state == State.AVAILABLE


def test_agents_of_dead_calls_are_freed(parts: Parts) -> None:
    _staff(parts, 2)
    call = _waiting(parts, 1)
    agent = parts.dispatcher.claim(call)
    assert agent is not None
    assert parts.agents.free_from({call}) == []
    assert parts.agents.free_from(set()) == [agent.id]
    assert parts.agents.state(agent.id).state == State.AVAILABLE
