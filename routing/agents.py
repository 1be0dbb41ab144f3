"""Agents and their states: who can take a call now.

    offline ─ sign_in → available ⇄ break
    available ─ claim → reserved ─ ring → ringing ─ answer → talking ─ end → wrap_up ─ time or agent → available

Every change is one conditional UPDATE plus a row of history, so two processes never disagree.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.clock import Clock
from core.db import Database
from core.errors import Conflict, Invalid, NotFound
from core.policy import Policies, declare
from routing.control import RingResult
from routing.models import Agent, AgentEvent, AgentState

WRAP_UP = declare("agent.wrap_up_seconds", 20, "s", "话后整理时间", "[D] no source; SPEC 3.2 measures it")
BREAK_REASONS = ("rest", "meal", "training", "meeting", "other")
MISSED_CALL = "missed_call"  # set by the system, so that a call never rings at an empty seat twice


class State(StrEnum):
    OFFLINE = "offline"
    AVAILABLE = "available"
    RESERVED = "reserved"
    RINGING = "ringing"
    TALKING = "talking"
    WRAP_UP = "wrap_up"
    BREAK = "break"


ON_CALL = (State.RESERVED, State.RINGING, State.TALKING)


class Agents:
    def __init__(self, db: Database, clock: Clock, policies: Policies) -> None:
        self.db, self.clock, self.policies = db, clock, policies

    # -- what the agent does ----------------------------------------------------------------------------

    def sign_in(self, agent_id: int) -> None:
        """Start work: available for calls (as soon as the phone is registered). No effect if signed in."""
        with self.db.write() as session:
            state = self._get(session, agent_id, create=True)
            if state.state == State.OFFLINE:
                self._move(session, state, State.AVAILABLE)

    def sign_out(self, agent_id: int) -> None:
        """End work; during a call it is done after the call."""
        self._wish(agent_id, State.OFFLINE, None)

    def pause(self, agent_id: int, reason: str) -> None:
        """Take a break for one of BREAK_REASONS; during a call it is done after the call."""
        if reason not in BREAK_REASONS:
            raise Invalid(f"unknown reason for a break: {reason}", fix=f"one of {', '.join(BREAK_REASONS)}")
        self._wish(agent_id, State.BREAK, reason)

    def ready(self, agent_id: int) -> None:
        """Be available (again): ends a break or the wrap-up, and takes back a wish made during a call."""
        with self.db.write() as session:
            state = self._get(session, agent_id)
            if state.state == State.OFFLINE:
                raise Conflict("not signed in", id="not-signed-in", fix="sign in first")
            state.wish = None
            if state.state in (State.BREAK, State.WRAP_UP):
                self._move(session, state, State.AVAILABLE)

    # -- what a call does to its agent --------------------------------------------------------------------

    def ringing(self, agent_id: int, call_id: str) -> bool:
        """The claimed agent's phone rings. False if the agent is no longer claimed for this call."""
        with self.db.write() as session:
            state = self._of_call(session, agent_id, call_id)
            if state is None:
                return False
            self._move(session, state, State.RINGING, call_id=call_id)
            return True

    def talking(self, agent_id: int, call_id: str) -> None:
        """The agent has joined the call."""
        with self.db.write() as session:
            state = self._get(session, agent_id)
            self._move(session, state, State.TALKING, call_id=call_id)

    def missed(self, agent_id: int, call_id: str, result: RingResult) -> None:
        """The phone rang in vain: an empty seat goes on break, an unreachable phone waits for its return."""
        with self.db.write() as session:
            state = self._of_call(session, agent_id, call_id)
            if state is None:
                return
            if result is RingResult.UNREACHABLE:
                state.phone_ready = False
            if state.wish is None and result is RingResult.NO_ANSWER:
                self._move(session, state, State.BREAK, reason=MISSED_CALL)
            else:
                self._after_call(session, state, wrap=False)

    def finished(self, agent_id: int, call_id: str, *, phone_lost: bool = False) -> None:
        """The agent's part of the call is over: wrap-up, or whatever was wished during the call."""
        with self.db.write() as session:
            state = self._of_call(session, agent_id, call_id)
            if state is None:
                return
            if phone_lost:
                state.phone_ready = False
            self._after_call(session, state, wrap=True)

    # -- what the link learns -------------------------------------------------------------------------------

    def phone(self, agent_id: int, *, ready: bool) -> None:
        """The agent's phone has registered, or its registration has ended."""
        with self.db.write() as session:
            state = self._get(session, agent_id, create=True)
            state.phone_ready = ready

    def tick(self) -> int:
        """End each wrap-up whose time is over; returns how many."""
        with self.db.write() as session:
            over = select(AgentState).where(AgentState.state == State.WRAP_UP, AgentState.until <= self.clock.now())
            states = list(session.scalars(over))
            for state in states:
                self._move(session, state, State.AVAILABLE)
            return len(states)

    def free_from(self, live_calls: set[str]) -> list[int]:
        """Free agents held by calls that no longer live (their process died); returns their ids."""
        with self.db.write() as session:
            held = session.scalars(select(AgentState).where(AgentState.state.in_(ON_CALL)))
            stuck = [state for state in held if state.call_id not in live_calls]
            for state in stuck:
                self._after_call(session, state, wrap=state.state == State.TALKING)
            return [state.agent_id for state in stuck]

    # -- looking ----------------------------------------------------------------------------------------------

    def state(self, agent_id: int) -> AgentState:
        """The agent's present state; raises NotFound for an unknown agent."""
        with self.db.write() as session:
            return self._get(session, agent_id, create=True)

    def staffed(self, queue: str | None = None) -> int:
        """How many agents could take a call now or soon (signed in, phone ready; on break not counted)."""
        with self.db.read() as session:
            rows = session.execute(
                select(Agent.queues)
                .join(AgentState, AgentState.agent_id == Agent.id)
                .where(AgentState.state.not_in((State.OFFLINE, State.BREAK)), AgentState.phone_ready.is_(True))
            )
            return sum(queue is None or queue in queues for (queues,) in rows)

    # -- inside -------------------------------------------------------------------------------------------------

    def _get(self, session: Session, agent_id: int, *, create: bool = False) -> AgentState:
        state = session.get(AgentState, agent_id, with_for_update=True)
        if state is None:
            if not create or session.get(Agent, agent_id) is None:
                raise NotFound(f"no agent {agent_id}", id="no-such-agent")
            now = self.clock.now()
            state = AgentState(agent_id=agent_id, state=State.OFFLINE, since=now, idle_since=now, phone_ready=False)
            session.add(state)
            session.flush()
        return state

    def _of_call(self, session: Session, agent_id: int, call_id: str) -> AgentState | None:
        state = self._get(session, agent_id)
        return state if state.call_id == call_id and state.state in ON_CALL else None

    def _wish(self, agent_id: int, target: State, reason: str | None) -> None:
        with self.db.write() as session:
            state = self._get(session, agent_id, create=True)
            if state.state in ON_CALL:
                state.wish = target if reason is None else f"{target}:{reason}"
            elif state.state == State.OFFLINE and target is State.BREAK:
                raise Conflict("not signed in", id="not-signed-in", fix="sign in first")
            elif state.state != target or state.reason != reason:
                self._move(session, state, target, reason=reason)

    def _after_call(self, session: Session, state: AgentState, *, wrap: bool) -> None:
        if state.wish is not None:
            target, _, reason = state.wish.partition(":")
            self._move(session, state, State(target), reason=reason or None)
        elif wrap and (seconds := self.policies.number(WRAP_UP)) > 0:
            until = self.clock.now() + timedelta(seconds=seconds)
            self._move(session, state, State.WRAP_UP, until=until, call_id=state.call_id)
        else:
            self._move(session, state, State.AVAILABLE)

    def _move(
        self,
        session: Session,
        state: AgentState,
        target: State,
        *,
        reason: str | None = None,
        call_id: str | None = None,
        until: datetime | None = None,
    ) -> None:
        now = self.clock.now()
        if target not in ON_CALL:
            state.wish = None
            if target is not State.WRAP_UP:
                state.idle_since = now
        state.state, state.reason, state.since, state.until, state.call_id = target, reason, now, until, call_id
        session.add(AgentEvent(agent_id=state.agent_id, at=now, state=target, reason=reason, call_id=call_id))


def reserve(session: Session, clock: Clock, agent_id: int, call_id: str) -> bool:
    """Claim a free agent for a call with one conditional UPDATE; False if somebody else was first."""
    now = clock.now()
    values: dict[str, Any] = {
        "state": State.RESERVED,
        "reason": None,
        "since": now,
        "until": None,
        "call_id": call_id,
    }
    free = (AgentState.state == State.AVAILABLE) | ((AgentState.state == State.WRAP_UP) & (AgentState.until <= now))
    done = session.execute(
        update(AgentState)
        .where(AgentState.agent_id == agent_id, free, AgentState.phone_ready.is_(True))
        .values(**values)
    )
    if done.rowcount != 1:  # type: ignore[attr-defined]
        return False
    session.add(AgentEvent(agent_id=agent_id, at=now, state=State.RESERVED, call_id=call_id))
    return True
