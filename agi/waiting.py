"""Waiting for a person: a loop of ours (ARCHITECTURE, decision 4).

The caller hears music; the dispatcher claims an agent; that agent's phone rings; the caller's music ends only when the
agent has answered. An agent who rejects, does not answer, or is lost in mid-talk costs the caller no place.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from agi.talk import Talk
from core import log
from core.errors import Unavailable
from core.policy import declare
from ivr_flows.ports import ConnectOutcome, ConnectRequest, ConnectResult
from routing.control import LeftBecause, Ring, RingResult, phone_name
from routing.ledger import Kind
from routing.models import Agent

if TYPE_CHECKING:
    from agi.line import AgiLine

RING_SECONDS = declare("agent.ring_seconds", 15, "s", "话务员振铃时限", "[D] GB/T 33358: a person within 15 s")
NOTICE_SECONDS = declare("queue.notice_seconds", 25, "s", "排队提示间隔", "[D] SPEC 3.1: every 30 s")
NO_AGENTS_SECONDS = declare(
    "queue.no_agents_seconds", 10, "s", "无人在岗多久后转留言", "[D] R08: nobody waits for nobody"
)
LOST_PRIORITY = 100  # a caller whose agent was lost goes before everybody who has not spoken yet
LOOK_SECONDS = 0.25  # how often the loop looks at keys, ring and queue
HEARTBEAT_SECONDS = 3.0


@dataclass
class _Ringing:
    agent: Agent
    ring: Ring


class WaitingRoom:
    """One caller's wait, from joining the queue to the end of the talk."""

    def __init__(self, line: AgiLine, request: ConnectRequest) -> None:
        self.line, self.request = line, request
        self.services, self.channel, self.call_id = line.services, line.channel, line.call_id
        self.since = self._now()
        self.priority = request.priority
        self._ringing: _Ringing | None = None
        self._staffed_at = self._notice_at = self._beat_at = self.since
        self._log = log.get("waiting")

    def run(self) -> ConnectResult:
        """Raises Hangup when the caller gives up; the agent being rung is let go then."""
        self.services.ledger.append(self.call_id, Kind.QUEUED, queue=self.request.queue, priority=self.request.priority)
        try:
            while True:
                result = self._wait()
                if isinstance(result, ConnectResult):
                    self.services.ledger.append(self.call_id, Kind.UNQUEUED, why=str(result.outcome))
                    return result
                self.line.last_left = left = Talk(self.line).run(result.agent, result.ring)
                if left is not LeftBecause.LOST:
                    return ConnectResult(ConnectOutcome.TALKED)
                self.priority = max(self.priority, LOST_PRIORITY)
                self.line.say("wait-agent-lost", self.request.notice_languages)
        finally:
            self._let_go("caller_left")
            self.services.dispatcher.leave(self.call_id)

    def _wait(self) -> ConnectResult | _Ringing:
        services = self.services
        services.dispatcher.enqueue(
            self.call_id, self.request.queue, self.request.language, self.priority, since=self.since
        )
        self._staffed_at = self._notice_at = self._beat_at = self._now()
        self.line.stage("waiting")
        self.channel.music(True)
        while True:
            key = self.channel.wait_for_digit(LOOK_SECONDS)
            if key and key in self.request.keys:
                return self._give_up(ConnectOutcome.KEY, key)
            self._heartbeat()
            if self._ringing is not None:
                if self._answered(self._ringing):
                    self.channel.music(False)
                    taken, self._ringing = self._ringing, None
                    return taken
            elif (ended := self._over()) is not None:
                return self._give_up(ended)
            elif not self._claim() and (key := self._notice()):
                return self._give_up(ConnectOutcome.KEY, key)

    def _give_up(self, outcome: ConnectOutcome, key: str = "") -> ConnectResult:
        self._let_go(str(outcome))
        self.services.dispatcher.leave(self.call_id)
        self.channel.music(False)
        return ConnectResult(outcome, key)

    def _over(self) -> ConnectOutcome | None:
        now = self._now()
        if self.services.agents.staffed(self.request.queue):
            self._staffed_at = now
        policies = self.services.policies
        if (now - self._staffed_at).total_seconds() >= policies.number(NO_AGENTS_SECONDS):
            return ConnectOutcome.NO_AGENTS
        if (now - self.since).total_seconds() >= self.request.max_wait_seconds:
            return ConnectOutcome.TIMEOUT
        return None

    def _claim(self) -> bool:
        services = self.services
        agent = services.dispatcher.claim(self.call_id)
        if agent is None:
            return False
        seconds = services.policies.number(RING_SECONDS)
        services.ledger.append(self.call_id, Kind.ASSIGNED, agent_id=agent.id, number=agent.number)
        services.agents.ringing(agent.id, self.call_id)
        try:
            ring = services.control.ring(phone_name(agent.id), self.call_id, self.line.caller_number, seconds)
        except Unavailable:
            # Without the manager link no phone can be rung: the flow's error path leads to the safety net.
            self._declined(agent, RingResult.CANCELLED)
            raise
        self._ringing = _Ringing(agent, ring)
        return True

    def _answered(self, ringing: _Ringing) -> bool:
        result = ringing.ring.wait(0)
        if result is RingResult.ANSWERED:
            return True
        if result is not None:
            self._ringing = None
            self._declined(ringing.agent, result)
        return False

    def _declined(self, agent: Agent, result: RingResult) -> None:
        services = self.services
        services.ledger.append(self.call_id, Kind.DECLINED, agent_id=agent.id, why=str(result))
        services.agents.missed(agent.id, self.call_id, result)
        services.dispatcher.unclaim(self.call_id, agent.id)

    def _let_go(self, why: str) -> None:
        """Stop ringing, whatever comes: the agent is free for others."""
        ringing, self._ringing = self._ringing, None
        if ringing is None:
            return
        try:
            ringing.ring.cancel()
        except Unavailable as exc:
            self._log.warning("ring not cancelled", why=why, error=str(exc))
        self._declined(ringing.agent, RingResult.CANCELLED)

    def _notice(self) -> str:
        now = self._now()
        if (now - self._notice_at).total_seconds() < self.services.policies.number(NOTICE_SECONDS):
            return ""
        self._notice_at = now
        self.services.ledger.append(self.call_id, Kind.NOTICE, prompt="wait-busy")
        self.channel.music(False)
        key = self.line.say("wait-busy", self.request.notice_languages, self.request.keys)
        self.channel.music(True)
        return key

    def _heartbeat(self) -> None:
        now = self._now()
        if (now - self._beat_at).total_seconds() >= HEARTBEAT_SECONDS:
            self._beat_at = now
            self.services.dispatcher.seen(self.call_id)

    def _now(self) -> datetime:
        return self.services.clock.now()
