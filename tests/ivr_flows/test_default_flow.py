"""The shipped flow, as callers meet it (SPEC 3.1)."""

from __future__ import annotations

from typing import Any

import pytest

from core.records import Outcome
from ivr_flows.engine import Ended
from ivr_flows.ports import ConnectOutcome, ConnectRequest, EmergencyOutcome, MessageResult
from ivr_flows.registry import FlowRegistry
from tests.ivr_flows.scripted import NOTHING, run_flow, walked

DEFAULT = FlowRegistry.load().flow_for("12345")
TALKED, NO_AGENTS, TIMEOUT = ConnectOutcome.TALKED, ConnectOutcome.NO_AGENTS, ConnectOutcome.TIMEOUT


def test_doing_nothing_leads_to_a_person_after_one_question() -> None:
    result, line = run_flow(DEFAULT, [NOTHING, NOTHING, NOTHING, TALKED])
    assert walked(result) == ["welcome:no_input", "ask-person:talked", "goodbye:"]
    assert line.played[:4] == ["zh/greeting", "ug/greeting", "zh/choose-language", "ug/choose-language"]
    assert line.of("connect") == [ConnectRequest("general", 0, 300.0, "zh", ("zh", "ug"), "9")]
    assert line.of("read_key")[0][0] == 5.0
    assert (result.ended, result.outcome) == (Ended.HUNG_UP, Outcome.TALKED)


@pytest.mark.parametrize(("key", "language"), [("1", "zh"), ("2", "ug")])
def test_one_and_two_choose_the_language(key: str, language: str) -> None:
    result, line = run_flow(DEFAULT, [key, NOTHING, TALKED])
    assert result.language == language
    assert line.of("connect")[0].language == language
    assert line.of("connect")[0].notice_languages == (language,)
    assert line.played[-2:] == [f"{language}/connecting", f"{language}/goodbye"]


def test_zero_leads_to_a_person_at_once() -> None:
    result, line = run_flow(DEFAULT, ["0", NOTHING, TALKED])
    assert walked(result) == ["welcome:key_0", "ask-person:talked", "goodbye:"]
    assert line.of("read_key") == []


@pytest.mark.parametrize(("outcome", "notice"), [(NO_AGENTS, "no-agents"), (TIMEOUT, "long-wait")])
def test_nobody_comes_a_notice_a_message_thanks(outcome: ConnectOutcome, notice: str) -> None:
    result, line = run_flow(DEFAULT, ["1", NOTHING, outcome])
    spoken = [name.removeprefix("zh/") for name in line.played[-6:]]
    assert spoken == ["connecting", notice, "leave-message", "tone", "message-saved", "goodbye"]
    assert (result.ended, result.outcome) == (Ended.HUNG_UP, Outcome.MESSAGE)


def test_an_empty_message_is_not_thanked_for() -> None:
    result, line = run_flow(DEFAULT, ["1", NOTHING, NO_AGENTS, NOTHING, NOTHING, NOTHING, MessageResult(False, 0)])
    assert "zh/message-saved" not in line.played
    assert result.outcome is Outcome.NOT_SERVED


@pytest.mark.parametrize(
    "before",
    [[], [NOTHING], ["1"], ["1", NOTHING], ["1", NOTHING, NO_AGENTS], ["1", NOTHING, NO_AGENTS, NOTHING, NOTHING]],
)
def test_nine_works_everywhere(before: list[Any]) -> None:
    result, line = run_flow(DEFAULT, [*before, "9", NOTHING, TALKED])
    assert [step.node for step in result.path[-2:]] == ["emergency", "goodbye"]
    assert line.of("connect")[-1].priority == 1000
    assert result.outcome is Outcome.TALKED


def test_an_emergency_without_agents_reaches_the_line_and_without_that_waits_on() -> None:
    result, line = run_flow(DEFAULT, ["9", NOTHING, NO_AGENTS, NOTHING, EmergencyOutcome.TALKED])
    assert line.of("emergency") == ["110"]
    assert result.outcome is Outcome.EMERGENCY
    result, line = run_flow(DEFAULT, ["9", NOTHING, NO_AGENTS, NOTHING, NOTHING, NOTHING, NOTHING, TALKED])
    assert [step.node for step in result.path] == ["welcome", "emergency", "emergency-failed", "ask-person", "goodbye"]
    assert result.outcome is Outcome.TALKED


def test_two_wrong_keys_lead_to_a_person() -> None:
    result, line = run_flow(DEFAULT, ["7", "8", NOTHING, TALKED])
    assert walked(result)[0] == "welcome:no_match"
    assert "zh/wrong-key" in line.played
    assert result.outcome is Outcome.TALKED


@pytest.mark.parametrize("pinned", FlowRegistry.load().all(), ids=lambda pinned: pinned.flow.id)
def test_shipped_flows_have_an_edge_for_every_outcome_and_every_node_is_reached(pinned: Any) -> None:
    flow = pinned.flow
    for node_id, node in flow.nodes.items():
        assert set(node.next) == set(node.outcomes()), node_id
    reached: set[str] = set()
    ahead = [flow.start, flow.always.person, flow.always.emergency, flow.always.error]
    while ahead:
        node_id = ahead.pop()
        if node_id not in reached:
            reached.add(node_id)
            ahead += flow.nodes[node_id].next.values()
    assert reached == set(flow.nodes)
