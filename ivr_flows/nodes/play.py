"""play: say something, then go on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ivr_flows.call import FlowCall
from ivr_flows.node import Node, Prompts


class Play(Node):
    """Plays prompts. The keys for a person and for an emergency work meanwhile; others do nothing."""

    type: Literal["play"]
    prompts: Prompts = Field(min_length=1)

    def outcomes(self) -> tuple[str, ...]:
        return ("done",)

    def run(self, call: FlowCall) -> str:
        call.play(self.prompts)
        return "done"
