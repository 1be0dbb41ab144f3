"""queue: ask for a person, wait, talk."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.policy import declare
from ivr_flows.call import FlowCall
from ivr_flows.node import Identifier, Node, Prompts
from ivr_flows.ports import ConnectOutcome

MAX_WAIT = declare("queue.max_wait_seconds", 300, "s", "最长排队等待时间", "[D] SPEC 3.1: after max wait a message")


class Queue(Node):
    """Waits for a person of a queue and talks. The emergency key works while waiting."""

    type: Literal["queue"]
    queue: Identifier
    priority: int = Field(0, ge=0, le=1000, description="Higher is served first")
    max_wait_seconds: float | None = Field(None, ge=1, le=7200, description="Empty: policy queue.max_wait_seconds")
    prompts: Prompts = Field((), description="Played before waiting; the key for a person skips them")

    def outcomes(self) -> tuple[str, ...]:
        return ("talked", "no_agents", "timeout")

    def run(self, call: FlowCall) -> str:
        wait = self.max_wait_seconds if self.max_wait_seconds is not None else call.number(MAX_WAIT, least=1)
        # Who impatiently presses 0 again must not start this node anew: the key skips the announcement.
        call.play(self.prompts, call.person_key)
        outcome = call.connect(self.queue, self.priority, wait)
        return {
            ConnectOutcome.TALKED: "talked",
            ConnectOutcome.NO_AGENTS: "no_agents",
            ConnectOutcome.TIMEOUT: "timeout",
        }[outcome]
