from __future__ import annotations

import pytest

from core.records import Outcome
from ivr_flows.errors import AlwaysKey
from ivr_flows.nodes.message import Message
from ivr_flows.ports import MessageResult
from tests.ivr_flows.scripted import NOTHING, ScriptedLine, call

NODE = Message(type="message", prompts=("leave-message",))


def test_saved_and_empty() -> None:
    here = call(ScriptedLine())
    assert NODE.run(here) == "saved"
    assert here.facts.reached is Outcome.MESSAGE
    here = call(ScriptedLine([NOTHING, NOTHING, MessageResult(False, 0.0)]))
    assert NODE.run(here) == "empty"
    assert here.facts.reached is None


def test_one_tone_whatever_the_languages_then_recording_by_policy() -> None:
    line = ScriptedLine()
    NODE.run(call(line, message__max_seconds=60, message__silence_seconds=4))
    assert line.played == ["zh/leave-message", "ug/leave-message", "zh/tone"]
    assert line.of("record") == [(60.0, 4.0, "#9")]


def test_nine_while_speaking_keeps_the_message_and_is_an_emergency() -> None:
    here = call(ScriptedLine([NOTHING, NOTHING, "9"]))
    with pytest.raises(AlwaysKey):
        NODE.run(here)
    assert here.facts.reached is Outcome.MESSAGE


def test_all_its_prompts_are_known_to_others() -> None:
    assert NODE.prompts_used() == ("leave-message", "tone")
