"""language: from here on, speak this language."""

from __future__ import annotations

from typing import Literal

from ivr_flows.call import FlowCall
from ivr_flows.node import Language as LanguageCode
from ivr_flows.node import Node


class Language(Node):
    """Sets the language of the call: for prompts, for the person who is asked for, and for the record."""

    type: Literal["language"]
    language: LanguageCode

    def outcomes(self) -> tuple[str, ...]:
        return ("done",)

    def run(self, call: FlowCall) -> str:
        call.choose_language(self.language)
        return "done"
