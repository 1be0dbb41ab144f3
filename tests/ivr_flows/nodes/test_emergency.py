from __future__ import annotations

from typing import Any

import pytest

from core.records import Outcome
from ivr_flows.nodes.emergency import Emergency
from ivr_flows.ports import ConnectOutcome, EmergencyOutcome
from tests.ivr_flows.scripted import FAIL, NOTHING, ScriptedLine, call

NODE = Emergency(type="emergency", queue="general", prompts=("emergency-connecting",), line_prompts=("emergency-line",))


def test_a_person_before_everybody_else() -> None:
    line = ScriptedLine([NOTHING, ConnectOutcome.TALKED])
    here = call(line, emergency__priority=55, emergency__max_wait_seconds=11)
    assert NODE.run(here) == "talked"
    (request,) = line.of("connect")
    assert (request.priority, request.max_wait_seconds, request.keys) == (55, 11.0, "")
    assert line.of("emergency") == []
    assert here.facts.reached is Outcome.TALKED


@pytest.mark.parametrize("why", [ConnectOutcome.NO_AGENTS, ConnectOutcome.TIMEOUT, FAIL])
def test_the_emergency_line_when_nobody_comes(why: Any) -> None:
    """Also when our own queue is broken."""
    line = ScriptedLine([NOTHING, why, NOTHING, EmergencyOutcome.TALKED])
    here = call(line)
    assert NODE.run(here) == "talked"
    assert line.of("emergency") == ["110"]
    assert here.facts.reached is Outcome.EMERGENCY


def test_which_line() -> None:
    line = ScriptedLine()
    NODE.run(call(line, emergency__line="120"))
    NODE.model_copy(update={"line": "119"}).run(call(line))
    assert line.of("emergency") == ["120", "119"]


def test_failed_when_the_line_does_not_answer() -> None:
    assert NODE.run(call(ScriptedLine())) == "failed"


def test_nine_again_and_zero_skip_the_announcements() -> None:
    line = ScriptedLine(["9", NOTHING, "0", EmergencyOutcome.TALKED])
    assert NODE.run(call(line)) == "talked"
