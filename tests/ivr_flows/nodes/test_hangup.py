from __future__ import annotations

from ivr_flows.nodes.hangup import Hangup
from tests.ivr_flows.scripted import ScriptedLine, call


def test_says_goodbye_and_has_no_outcome() -> None:
    line = ScriptedLine()
    node = Hangup(type="hangup", prompts=("goodbye",))
    assert node.run(call(line)) == ""
    assert node.terminal
    assert node.outcomes() == ()
    assert line.played == ["zh/goodbye", "ug/goodbye"]
