"""emergency: a person before everybody else, or the emergency line itself."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core import log
from core.policy import declare
from ivr_flows.call import FlowCall
from ivr_flows.node import Identifier, Node, Prompts
from ivr_flows.ports import ConnectOutcome, EmergencyOutcome

PRIORITY = declare(
    "emergency.priority", 1000, "", "紧急求助排队优先级", "SPEC 3.1: key 9 goes to the top-priority queue"
)
MAX_WAIT = declare("emergency.max_wait_seconds", 20, "s", "紧急求助等待话务员的最长时间", "[D] SPEC 3.5 (d): 20 s")
LINE = declare("emergency.line", "110", "", "无话务员时转接的紧急电话", "[D] SPEC 3.1: no agents: 110")


class Emergency(Node):
    """Asks for a person with the highest priority; when nobody comes, dials the emergency line.

    Never straight to 110 while an agent can take the call (SPEC 3.1): the agent knows whether it is 110, 119, 120
    or 122, and passes the place on.
    """

    type: Literal["emergency"]
    queue: Identifier
    line: Literal["110", "119", "120", "122"] | None = Field(None, description="Empty: policy emergency.line")
    prompts: Prompts = Field((), description="Played before waiting; the emergency key skips them")
    line_prompts: Prompts = Field((), description="Played before the emergency line is dialled")

    def outcomes(self) -> tuple[str, ...]:
        return ("talked", "failed")

    def run(self, call: FlowCall) -> str:
        call.play(self.prompts, call.person_key + call.emergency_key)
        if self._person(call):
            return "talked"
        call.play(self.line_prompts, call.person_key + call.emergency_key)
        outcome = call.emergency(self.line or call.text(LINE))
        return "talked" if outcome is EmergencyOutcome.TALKED else "failed"

    def _person(self, call: FlowCall) -> bool:
        priority, wait = int(call.number(PRIORITY)), call.number(MAX_WAIT, least=1)
        try:
            return call.connect(self.queue, priority, wait, escape=False) is ConnectOutcome.TALKED
        except Exception as exc:
            # Our queue being broken is one more reason to dial the emergency line, not to apologise.
            log.get("flow").error("no queue for an emergency", error=f"{exc.__class__.__name__}: {exc}")
            return False
