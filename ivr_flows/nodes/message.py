"""message: record what the caller wants to say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from core.policy import declare
from ivr_flows.call import FlowCall
from ivr_flows.node import PROMPTS, Identifier, Key, Node, Prompts

MAX_SECONDS = declare("message.max_seconds", 180, "s", "留言最长时间", "[D] SPEC 3.1 names the message, no length")
SILENCE_SECONDS = declare("message.silence_seconds", 8, "s", "留言静音多久后结束", "[D] no source")


class Message(Node):
    """Plays prompts and a tone, then records until a key, silence or the longest time."""

    type: Literal["message"]
    prompts: Prompts = Field(min_length=1)
    tone: Annotated[Identifier, Field(json_schema_extra={"format": PROMPTS})] = "tone"
    end_key: Key = Field("#", description="Key that ends the message")

    def outcomes(self) -> tuple[str, ...]:
        return ("saved", "empty")

    def run(self, call: FlowCall) -> str:
        call.play(self.prompts)
        call.play_once(self.tone)
        result = call.record(call.number(MAX_SECONDS, least=1), call.number(SILENCE_SECONDS, least=1), self.end_key)
        return "saved" if result.saved else "empty"
