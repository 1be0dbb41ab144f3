"""Which waiting caller gets which free agent.

The rule is a pure function (:func:`assign`); the claim itself is one conditional UPDATE, so any number of processes
and nodes may ask at the same time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, update

from core.clock import Clock
from core.db import Database
from core.policy import Policies, declare
from routing.agents import State, reserve
from routing.models import Agent, AgentState, WaitingCall

LANGUAGE_FALLBACK = declare(
    "queue.language_fallback_seconds", 20, "s", "等待多久后可由其他语种话务员接听", "[D] SPEC 3.1: overflow language"
)
RETRY_AGENT = declare(
    "queue.retry_agent_seconds", 30, "s", "话务员拒接后多久可再次振铃", "[D] no source; avoids ringing in circles"
)
HEARTBEAT = timedelta(seconds=15)  # a waiting session not seen for so long is dead and blocks nobody


@dataclass(frozen=True)
class Waiting:
    """A caller waiting for a person."""

    call_id: str
    queue: str
    language: str
    priority: int
    enqueued_at: datetime
    excluded: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True)
class FreeAgent:
    agent_id: int
    languages: frozenset[str]
    queues: frozenset[str]
    idle_since: datetime


def suits(call: Waiting, agent: FreeAgent, now: datetime, language_fallback: float) -> bool:
    """Whether the agent may take the call: right queue, right language (any, after ``language_fallback`` seconds)."""
    if agent.agent_id in call.excluded or call.queue not in agent.queues:
        return False
    waited = (now - call.enqueued_at).total_seconds()
    return call.language in agent.languages or waited >= language_fallback


def assign(
    waiting: Sequence[Waiting], free: Sequence[FreeAgent], now: datetime, language_fallback: float
) -> Mapping[str, int]:
    """Give callers their agents: highest priority first, then longest waiting; of agents the longest idle.

    Returns call id → agent id; nobody appears twice.
    """
    agents = sorted(free, key=lambda agent: (agent.idle_since, agent.agent_id))
    result: dict[str, int] = {}
    for call in sorted(waiting, key=lambda call: (-call.priority, call.enqueued_at, call.call_id)):
        for agent in agents:
            if suits(call, agent, now, language_fallback):
                result[call.call_id] = agent.agent_id
                agents.remove(agent)
                break
        if not agents:
            break
    return result


class Dispatcher:
    def __init__(self, db: Database, clock: Clock, policies: Policies) -> None:
        self.db, self.clock, self.policies = db, clock, policies

    def enqueue(self, call_id: str, queue: str, language: str, priority: int, *, since: datetime | None = None) -> None:
        """Put a caller into the queue; ``since`` keeps the place of one who had been waiting before."""
        now = self.clock.now()
        with self.db.write() as session:
            old = session.get(WaitingCall, call_id)
            if old is not None:
                session.delete(old)
                session.flush()
            session.add(
                WaitingCall(
                    call_id=call_id,
                    queue=queue,
                    language=language,
                    priority=priority,
                    enqueued_at=since or now,
                    seen_at=now,
                    excluded={},
                )
            )

    def leave(self, call_id: str) -> None:
        """The caller no longer waits. No effect if not in the queue."""
        with self.db.write() as session:
            row = session.get(WaitingCall, call_id)
            if row is not None:
                session.delete(row)

    def seen(self, call_id: str) -> None:
        """Heartbeat of a waiting session; call it every few seconds."""
        with self.db.write() as session:
            session.execute(update(WaitingCall).where(WaitingCall.call_id == call_id).values(seen_at=self.clock.now()))

    def claim(self, call_id: str) -> Agent | None:
        """Try to get an agent for this caller now; the agent is then reserved for the call."""
        now = self.clock.now()
        fallback = self.policies.number(LANGUAGE_FALLBACK)
        agent_id = assign(self._waiting(now), self._free(now), now, fallback).get(call_id)
        if agent_id is None:
            return None
        with self.db.write() as session:
            row = session.get(WaitingCall, call_id)
            if row is None or not reserve(session, self.clock, agent_id, call_id):
                return None
            row.agent_id = agent_id
            return session.get(Agent, agent_id)

    def unclaim(self, call_id: str, agent_id: int) -> None:
        """That agent did not take the call: the caller is free again and does not go to the same agent soon."""
        until = self.clock.now() + timedelta(seconds=self.policies.number(RETRY_AGENT))
        with self.db.write() as session:
            row = session.get(WaitingCall, call_id)
            if row is not None:
                row.agent_id = None
                row.excluded = {**row.excluded, str(agent_id): until.isoformat()}

    def position(self, call_id: str) -> int | None:
        """Place in the queue, 1 for the next; None if not waiting."""
        waiting = self._waiting(self.clock.now())
        order = sorted(waiting, key=lambda call: (-call.priority, call.enqueued_at, call.call_id))
        return next((i for i, call in enumerate(order, 1) if call.call_id == call_id), None)

    def _waiting(self, now: datetime) -> list[Waiting]:
        with self.db.read() as session:
            rows = session.scalars(
                select(WaitingCall).where(WaitingCall.agent_id.is_(None), WaitingCall.seen_at > now - HEARTBEAT)
            )
            return [
                Waiting(
                    call_id=row.call_id,
                    queue=row.queue,
                    language=row.language,
                    priority=row.priority,
                    enqueued_at=row.enqueued_at,
                    excluded=frozenset(
                        int(agent) for agent, until in row.excluded.items() if datetime.fromisoformat(until) > now
                    ),
                )
                for row in rows
            ]

    def _free(self, now: datetime) -> list[FreeAgent]:
        free = (AgentState.state == State.AVAILABLE) | ((AgentState.state == State.WRAP_UP) & (AgentState.until <= now))
        with self.db.read() as session:
            rows = session.execute(
                select(Agent, AgentState.idle_since)
                .join(AgentState, AgentState.agent_id == Agent.id)
                .where(free, AgentState.phone_ready.is_(True), Agent.active.is_(True))
            )
            return [
                FreeAgent(agent.id, frozenset(agent.languages), frozenset(agent.queues), idle) for agent, idle in rows
            ]
