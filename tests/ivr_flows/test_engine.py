from __future__ import annotations

from typing import Any

import pytest

from core.records import Outcome
from ivr_flows.engine import Ended, rescue_flow, run
from ivr_flows.errors import CallerGone
from ivr_flows.ports import ConnectOutcome, EmergencyOutcome, MessageResult
from tests.ivr_flows.scripted import (
    FAIL,
    GONE,
    NOTHING,
    BrokenNumbers,
    DefaultNumbers,
    ListTrace,
    ScriptedLine,
    flow,
    run_flow,
    walked,
)

PLAY = {"type": "play", "prompts": ["goodbye"], "next": {"done": "end"}}
END = {"type": "hangup"}
QUEUE = {"type": "queue", "queue": "general", "next": {"talked": "end"}}
TALKED = ConnectOutcome.TALKED


def test_nodes_follow_their_outcomes_and_are_traced() -> None:
    pinned, trace = flow({"a": PLAY, "end": END}), ListTrace()
    result, line = run_flow(pinned, trace=trace)
    assert walked(result) == ["a:done", "end:"]
    assert (result.ended, result.outcome, result.language) == (Ended.HUNG_UP, Outcome.SELF_SERVED, "zh")
    assert [what for what, _ in line.log] == ["answer", "play", "hang_up"]
    assert trace.events == [
        ("node", "test", pinned.version, "a", "play"),
        ("node", "test", pinned.version, "end", "hangup"),
    ]


def test_a_hang_up_ends_it_where_it_is() -> None:
    result, line = run_flow(flow({"a": PLAY, "end": END}), [GONE])
    assert walked(result) == ["a:gone"]
    assert (result.ended, result.outcome) == (Ended.CALLER_GONE, Outcome.ABANDONED_IVR)
    assert line.of("hang_up") == []


@pytest.mark.parametrize("error_node", [None, "sorry"])
def test_a_failing_node_leads_by_the_error_path_to_a_person(error_node: str | None) -> None:
    nodes: dict[str, Any] = {
        "a": PLAY,
        "end": END,
        "sorry": {"type": "play", "prompts": ["sorry"], "next": {"done": "ask"}},
        "ask": QUEUE,
    }
    trace = ListTrace()
    moves = [FAIL, NOTHING, TALKED]
    result, _ = run_flow(flow(nodes, always={"error": error_node}), moves, trace)
    assert result.outcome is Outcome.TALKED
    assert result.path[0].outcome == "error"
    assert ("fault", "a", "PortBroken") in trace.events
    assert [step.flow for step in result.path[1:]] == (["test"] * 3 if error_node else ["rescue"] * 2)


def test_the_error_path_is_taken_once() -> None:
    nodes = {"a": PLAY, "end": END}
    result, _ = run_flow(flow(nodes, always={"error": "a"}), [FAIL, FAIL, NOTHING, TALKED])
    assert [f"{step.flow}/{step.node}:{step.outcome}" for step in result.path] == [
        "test/a:error",
        "test/a:error",
        "rescue/person:talked",
        "rescue/goodbye:",
    ]


def test_when_the_rescue_fails_the_safety_net_is_asked_for() -> None:
    result, line = run_flow(flow({"a": PLAY, "end": END}), [FAIL] * 10)
    assert (result.ended, result.outcome) == (Ended.FAILED, Outcome.FAILED)
    assert walked(result) == ["a:error", "person:error"]
    assert line.of("hang_up") == []


def test_an_outcome_without_an_edge_leads_to_a_person() -> None:
    result, _ = run_flow(flow({"a": {"type": "play", "prompts": ["goodbye"]}}), [NOTHING, NOTHING, TALKED])
    assert walked(result) == ["a:done", "person:talked", "goodbye:"]


def test_a_flow_in_circles_leads_to_a_person() -> None:
    circle = {"type": "play", "prompts": ["goodbye"], "next": {"done": "a"}}
    trace = ListTrace()
    result, _ = run_flow(flow({"a": circle}), [NOTHING] * 11 + [TALKED], trace)
    assert walked(result) == [*["a:done"] * 10, "person:talked", "goodbye:"]
    assert any(event[:2] == ("fault", "a") for event in trace.events)


def test_many_nodes_in_a_circle_are_stopped_by_the_step_limit() -> None:
    names = [f"n{i}" for i in range(60)]
    nodes = {
        name: {"type": "play", "prompts": ["goodbye"], "next": {"done": names[(i + 1) % 60]}}
        for i, name in enumerate(names)
    }
    result, _ = run_flow(flow(nodes))
    assert sum(step.flow == "test" for step in result.path) == 200
    assert result.outcome is Outcome.MESSAGE


@pytest.mark.parametrize(("key", "name"), [("0", "person"), ("9", "emergency")])
def test_keys_that_always_work(key: str, name: str) -> None:
    own = {"a": PLAY, "ask": QUEUE, "end": END}
    result, _ = run_flow(flow(own, always={name: "ask"}), [key, TALKED])
    assert walked(result) == [f"a:key_{key}", "ask:talked", "end:"]
    result, _ = run_flow(flow({"a": PLAY, "end": END}), [key, NOTHING, TALKED])
    assert walked(result) == [f"a:key_{key}", f"{name}:talked", "goodbye:"]
    assert result.path[1].flow == "rescue"


def test_keys_that_always_work_are_policy() -> None:
    line = ScriptedLine(["8", NOTHING, TALKED])
    result = run(flow({"a": PLAY, "end": END}), line, ListTrace(), DefaultNumbers(flow__emergency_key="8"))
    assert walked(result)[0] == "a:key_8"
    assert result.path[1].type == "emergency"


def test_with_ledger_and_policies_away_the_caller_is_served_all_the_same() -> None:
    line = ScriptedLine([NOTHING, TALKED])
    ask = {"a": PLAY | {"next": {"done": "ask"}}, "ask": QUEUE, "end": END}
    result = run(flow(ask), line, ListTrace(broken=True), BrokenNumbers())
    assert walked(result) == ["a:done", "ask:talked", "end:"]
    assert line.of("connect")[0].max_wait_seconds == 300


def test_a_line_that_cannot_be_answered_goes_to_the_safety_net() -> None:
    class Dead(ScriptedLine):
        def answer(self) -> None:
            raise OSError("no such channel")

    result = run(flow({"a": PLAY, "end": END}), Dead(), ListTrace(), DefaultNumbers())
    assert (result.ended, result.path) == (Ended.FAILED, ())


def test_a_hang_up_that_fails_still_counts_as_the_end() -> None:
    class Stuck(ScriptedLine):
        def hang_up(self) -> None:
            raise OSError("stuck")

    assert run(flow({"end": END}), Stuck(), ListTrace(), DefaultNumbers()).ended is Ended.HUNG_UP


def test_a_last_word_that_fails_does_not_send_a_served_caller_round_again() -> None:
    end = {"type": "hangup", "prompts": ["goodbye"]}
    result, line = run_flow(flow({"ask": QUEUE, "end": end}), [TALKED, FAIL])
    assert (result.ended, result.outcome) == (Ended.HUNG_UP, Outcome.TALKED)
    assert len(line.of("hang_up")) == 1


ASK_ALL = {
    "ask": {"type": "queue", "queue": "general", "next": {"talked": "end", "no_agents": "leave", "timeout": "leave"}},
    "leave": {"type": "message", "prompts": ["leave-message"], "next": {"saved": "end", "empty": "end"}},
    "end": {"type": "hangup", "prompts": ["goodbye"]},
}
NO_AGENTS = ConnectOutcome.NO_AGENTS
EMPTY = MessageResult(False, 0.0)


@pytest.mark.parametrize(
    ("moves", "outcome"),
    [
        ([TALKED], Outcome.TALKED),
        ([TALKED, GONE], Outcome.TALKED),
        ([GONE], Outcome.ABANDONED_WAITING),
        ([CallerGone(Outcome.TALKED)], Outcome.TALKED),
        ([NO_AGENTS, GONE], Outcome.NOT_SERVED),
        ([NO_AGENTS, NOTHING, NOTHING, EMPTY], Outcome.NOT_SERVED),
        ([NO_AGENTS, NOTHING, NOTHING, NOTHING], Outcome.MESSAGE),
        ([NO_AGENTS, NOTHING, NOTHING, CallerGone(Outcome.MESSAGE)], Outcome.MESSAGE),
        (["9", NOTHING, NO_AGENTS, NOTHING, EmergencyOutcome.TALKED], Outcome.EMERGENCY),
        (["9", NOTHING, NO_AGENTS, NOTHING, CallerGone(Outcome.EMERGENCY)], Outcome.EMERGENCY),
        (["9", NOTHING, TALKED], Outcome.TALKED),
        ([FAIL, GONE], Outcome.NOT_SERVED),
    ],
)
def test_outcomes_for_the_record(moves: list[Any], outcome: Outcome) -> None:
    result, _ = run_flow(flow(ASK_ALL), moves)
    assert result.outcome is outcome


def test_the_rescue_flow_ends_by_itself_and_has_an_edge_for_every_outcome() -> None:
    rescue = rescue_flow().flow
    for node_id, node in rescue.nodes.items():
        assert set(node.next) == set(node.outcomes()), node_id
    result, _ = run_flow(rescue_flow())
    assert walked(result) == ["person:no_agents", "nobody:done", "leave-message:saved", "thanks:"]
