"""menu: let the caller choose by key."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from core.policy import declare
from ivr_flows.call import FlowCall
from ivr_flows.node import Key, Node, OutcomeName, Prompts
from ivr_flows.ports import InputStatus

MENU_SECONDS = declare("flow.menu_seconds", 5, "s", "菜单等待按键时间", "SPEC 3.1: timeout 5 s")
MENU_RETRIES = declare("flow.menu_retries", 2, "times", "菜单重播次数", "[D] no source; GB/T 33358 wants no long menus")
MOST_RETRIES = 5  # technical bound, whatever the policy says: nobody is kept in a menu for ever


class Menu(Node):
    """Plays prompts and takes a key. Pressing nothing, or a wrong key, repeats the question and then moves on."""

    type: Literal["menu"]
    prompts: Prompts = Field(min_length=1)
    keys: dict[Key, OutcomeName] = Field(min_length=1, description="Key → outcome")
    barge_in: bool = Field(True, description="A key counts already while the prompts play")
    seconds: float | None = Field(None, ge=1, le=60, description="Wait for a key; empty: policy flow.menu_seconds")
    no_input_prompts: Prompts = Field((), description="Played when nothing was pressed; empty: the prompts again")
    no_match_prompts: Prompts = Field((), description="Played after a wrong key; empty: the prompts again")
    no_input_retries: int | None = Field(None, ge=0, le=MOST_RETRIES, description="Empty: policy flow.menu_retries")
    no_match_retries: int | None = Field(None, ge=0, le=MOST_RETRIES, description="Empty: policy flow.menu_retries")

    def outcomes(self) -> tuple[str, ...]:
        return (*dict.fromkeys(self.keys.values()), "no_input", "no_match")

    def keys_used(self) -> str:
        return "".join(self.keys)

    def run(self, call: FlowCall) -> str:
        seconds = self.seconds if self.seconds is not None else call.number(MENU_SECONDS, least=1)
        retries = {
            InputStatus.NO_INPUT: self._retries(call, self.no_input_retries),
            InputStatus.NO_MATCH: self._retries(call, self.no_match_retries),
        }
        again = {InputStatus.NO_INPUT: self.no_input_prompts, InputStatus.NO_MATCH: self.no_match_prompts}
        prompts = self.prompts
        while True:
            heard = call.ask(prompts, seconds, self.keys_used(), barge_in=self.barge_in)
            if heard.status is InputStatus.OK:
                return self.keys[heard.value]
            if retries[heard.status] == 0:
                return str(heard.status)
            retries[heard.status] -= 1
            prompts = again[heard.status] or self.prompts

    @staticmethod
    def _retries(call: FlowCall, configured: int | None) -> int:
        return configured if configured is not None else int(min(MOST_RETRIES, call.number(MENU_RETRIES)))
