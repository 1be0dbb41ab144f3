from __future__ import annotations

import pytest

from ivr_flows.errors import AlwaysKey
from ivr_flows.nodes.play import Play
from tests.ivr_flows.scripted import ListTrace, ScriptedLine, call

NODE = Play(type="play", prompts=("greeting", "goodbye"))


def test_every_language_until_one_is_chosen() -> None:
    line = ScriptedLine()
    here = call(line)
    assert NODE.run(here) == "done"
    assert line.played == ["zh/greeting", "ug/greeting", "zh/goodbye", "ug/goodbye"]
    here.choose_language("ug")
    NODE.run(here)
    assert line.played[4:] == ["ug/greeting", "ug/goodbye"]


@pytest.mark.parametrize("key", ["0", "9"])
def test_person_and_emergency_keys_interrupt(key: str) -> None:
    trace = ListTrace()
    with pytest.raises(AlwaysKey) as pressed:
        NODE.run(call(ScriptedLine([key]), trace))
    assert pressed.value.key == key
    assert trace.events == [("digit", key)]


def test_other_keys_do_nothing() -> None:
    assert NODE.run(call(ScriptedLine(["5"]))) == "done"
