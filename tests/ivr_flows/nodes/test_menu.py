from __future__ import annotations

from typing import Any

import pytest

from ivr_flows.errors import AlwaysKey
from ivr_flows.nodes.menu import Menu
from ivr_flows.ports import ALL_KEYS
from tests.ivr_flows.scripted import NOTHING, ListTrace, ScriptedLine, call


def menu(**fields: Any) -> Menu:
    return Menu.model_validate(
        {
            "type": "menu",
            "prompts": ["choose-language"],
            "keys": {"1": "mandarin", "2": "uyghur"},
            "no_input_prompts": ["goodbye"],
            "no_match_prompts": ["wrong-key"],
            **fields,
        }
    )


def test_outcomes_are_those_of_the_keys_and_of_failing() -> None:
    assert menu().outcomes() == ("mandarin", "uyghur", "no_input", "no_match")


def test_a_key_while_the_prompt_plays_and_after_it() -> None:
    assert menu().run(call(ScriptedLine(["2"]))) == "uyghur"
    trace = ListTrace()
    assert menu().run(call(ScriptedLine([NOTHING, "1"]), trace)) == "mandarin"
    assert trace.events == [("digit", "1")]


def test_waits_as_long_as_the_policy_says_unless_configured() -> None:
    for node, seconds in ((menu(), 7.0), (menu(seconds=3), 3.0)):
        line = ScriptedLine([NOTHING, "1"])
        node.run(call(line, flow__menu_seconds=7))
        assert line.of("read_key") == [(seconds, ALL_KEYS)]


def test_silence_repeats_with_its_own_prompt_and_then_ends() -> None:
    line = ScriptedLine()
    here = call(line, flow__menu_retries=2)
    here.choose_language("zh")
    assert menu().run(here) == "no_input"
    assert line.played == ["zh/choose-language", "zh/goodbye", "zh/goodbye"]


def test_wrong_keys_are_told_so_and_then_end() -> None:
    line = ScriptedLine(["7", NOTHING, "8", "#"])
    here = call(line)
    here.choose_language("zh")
    assert menu(no_match_retries=2).run(here) == "no_match"
    assert line.played == ["zh/choose-language", "zh/wrong-key", "zh/wrong-key"]


def test_silence_and_wrong_keys_are_counted_apart() -> None:
    node = menu(no_input_retries=0, no_match_retries=1)
    assert node.run(call(ScriptedLine())) == "no_input"
    assert node.run(call(ScriptedLine(["7", "8"]))) == "no_match"
    assert node.run(call(ScriptedLine(["7", "1"]))) == "mandarin"


def test_no_policy_keeps_a_caller_in_a_menu_for_ever() -> None:
    line = ScriptedLine()
    assert menu().run(call(line, flow__menu_retries=1e9)) == "no_input"
    assert len(line.of("read_key")) == 6


@pytest.mark.parametrize("barge_in", [True, False])
@pytest.mark.parametrize("key", ["0", "9"])
@pytest.mark.parametrize("before", [[], [NOTHING]])
def test_person_and_emergency_keys_always_work(key: str, barge_in: bool, before: list[str]) -> None:
    with pytest.raises(AlwaysKey):
        menu(barge_in=barge_in).run(call(ScriptedLine([*before, key])))


def test_without_barge_in_a_key_counts_only_afterwards() -> None:
    line = ScriptedLine(["1", "2"])
    assert menu(barge_in=False).run(call(line)) == "uyghur"
