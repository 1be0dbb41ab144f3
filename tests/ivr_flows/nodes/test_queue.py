from __future__ import annotations

import pytest

from core.records import Outcome
from ivr_flows.errors import AlwaysKey
from ivr_flows.nodes.queue import Queue
from ivr_flows.ports import ConnectOutcome, ConnectRequest
from tests.ivr_flows.scripted import NOTHING, ScriptedLine, call

NODE = Queue(type="queue", queue="general", prompts=("connecting",))


@pytest.mark.parametrize("outcome", [ConnectOutcome.TALKED, ConnectOutcome.NO_AGENTS, ConnectOutcome.TIMEOUT])
def test_outcomes_of_waiting(outcome: ConnectOutcome) -> None:
    here = call(ScriptedLine([NOTHING, outcome]))
    assert NODE.run(here) == str(outcome)
    assert str(outcome) in NODE.outcomes()
    assert here.facts.asked
    assert here.facts.reached is (Outcome.TALKED if outcome is ConnectOutcome.TALKED else None)


def test_what_is_asked_for() -> None:
    line = ScriptedLine()
    here = call(line, queue__max_wait_seconds=77)
    NODE.run(here)
    here.choose_language("ug")
    NODE.model_copy(update={"priority": 5, "max_wait_seconds": 9}).run(here)
    assert line.of("connect") == [
        ConnectRequest("general", 0, 77.0, "zh", ("zh", "ug"), "9"),
        ConnectRequest("general", 5, 9, "ug", ("ug",), "9"),
    ]


def test_nine_while_waiting_is_an_emergency() -> None:
    with pytest.raises(AlwaysKey) as pressed:
        NODE.run(call(ScriptedLine([NOTHING, "9"])))
    assert pressed.value.key == "9"


def test_an_impatient_zero_skips_the_announcement() -> None:
    line = ScriptedLine(["0", ConnectOutcome.TALKED])
    assert NODE.run(call(line)) == "talked"
