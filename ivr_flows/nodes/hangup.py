"""hangup: the end of the call."""

from __future__ import annotations

from typing import ClassVar, Literal

from ivr_flows.call import FlowCall
from ivr_flows.node import Node, Prompts


class Hangup(Node):
    """Ends the call, after prompts if there are any."""

    terminal: ClassVar[bool] = True

    type: Literal["hangup"]
    prompts: Prompts = ()

    def outcomes(self) -> tuple[str, ...]:
        return ()

    def run(self, call: FlowCall) -> str:
        call.play(self.prompts)
        return ""
