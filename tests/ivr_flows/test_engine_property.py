"""For random flows and random callers: a call always ends at a person, a message or a hang-up.

Never in an exception, never in an endless loop, never in silence: the last resort is FAILED, which hands the call to
Asterisk's safety net, and it is allowed only when our ports failed, or a caller kept pressing 9 on and on.
"""

from __future__ import annotations

from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from core.records import Outcome
from ivr_flows.engine import Ended, run
from ivr_flows.errors import CallerGone
from ivr_flows.nodes import NODE_TYPES
from ivr_flows.ports import ALL_KEYS, ConnectOutcome, EmergencyOutcome, MessageResult
from ivr_flows.registry import PinnedFlow
from tests.ivr_flows.scripted import FAIL, GONE, NOTHING, DefaultNumbers, ListTrace, Move, ScriptedLine, flow

MOST_REQUESTS = 5000  # far above what the step limits allow
PROMPTS = st.lists(st.sampled_from(["greeting", "connecting", "goodbye"]), min_size=1, max_size=2)
OUTCOMES = st.sampled_from(["left", "right"])
FIELDS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "play": st.fixed_dictionaries({"prompts": PROMPTS}),
    "menu": st.fixed_dictionaries(
        {
            "prompts": PROMPTS,
            "keys": st.dictionaries(st.sampled_from("12345678*#"), OUTCOMES, min_size=1, max_size=4),
        },
        optional={
            "barge_in": st.booleans(),
            "no_input_retries": st.integers(0, 3),
            "no_match_retries": st.integers(0, 3),
        },
    ),
    "language": st.fixed_dictionaries({"language": st.sampled_from(["zh", "ug"])}),
    "queue": st.fixed_dictionaries({"queue": st.just("general")}, optional={"prompts": PROMPTS}),
    "message": st.fixed_dictionaries({"prompts": PROMPTS}),
    "emergency": st.fixed_dictionaries({"queue": st.just("general")}, optional={"prompts": PROMPTS}),
    "hangup": st.fixed_dictionaries({}, optional={"prompts": PROMPTS}),
}
MOVES: st.SearchStrategy[Move] = st.one_of(
    st.sampled_from([NOTHING, NOTHING, GONE, FAIL]),
    st.sampled_from(ALL_KEYS),
    st.sampled_from(ConnectOutcome).filter(lambda outcome: outcome is not ConnectOutcome.KEY),
    st.sampled_from(EmergencyOutcome),
    st.sampled_from([MessageResult(False, 0.0), MessageResult(True, 2.0, "r1")]),
    st.sampled_from([Outcome.TALKED, Outcome.MESSAGE, Outcome.EMERGENCY]).map(CallerGone),
)


@st.composite
def flows(draw: st.DrawFn) -> PinnedFlow:
    """A flow that loads: any node types, any edges, some edges and ways out missing."""
    names = [f"n{number}" for number in range(draw(st.integers(1, 6)))]
    nodes: dict[str, Any] = {}
    for name in names:
        kind = draw(st.sampled_from(sorted(FIELDS)))
        node = {"type": kind, **draw(FIELDS[kind])}
        outcomes = NODE_TYPES[kind].model_validate(node).outcomes()
        targets = {outcome: draw(st.none() | st.sampled_from(names)) for outcome in outcomes}
        nodes[name] = node | {"next": {outcome: target for outcome, target in targets.items() if target}}
    always = {way: draw(st.none() | st.sampled_from(names)) for way in ("person", "emergency", "error")}
    return flow(nodes, always=always, languages=draw(st.sampled_from([["zh", "ug"], ["ug"]])))


class Endless(BaseException):
    """Not an Exception: the engine would take it for a broken port and go on."""


class CountedLine(ScriptedLine):
    def _request(self, what: str, detail: Any) -> Move:
        if len(self.log) > MOST_REQUESTS:
            raise Endless
        return super()._request(what, detail)


def test_every_node_type_takes_part() -> None:
    assert set(FIELDS) == set(NODE_TYPES)


@settings(max_examples=400, deadline=None)
@given(flows(), st.lists(MOVES, max_size=40), st.booleans())
def test_nobody_is_left_without_an_answer(pinned: PinnedFlow, moves: list[Move], ledger_broken: bool) -> None:
    line, trace = CountedLine(moves), ListTrace(broken=ledger_broken)
    result = run(pinned, line, trace, DefaultNumbers())
    event(f"{result.ended} {result.outcome}")

    assert not line.misused
    assert len(line.of("hang_up")) == (1 if result.ended is Ended.HUNG_UP else 0)
    assert len(result.path) <= 2 * 200
    assert [(node[1], node[3]) for node in trace.events if node[0] == "node"] == [(s.flow, s.node) for s in result.path]
    if result.ended is Ended.FAILED:
        assert FAIL in moves or moves.count("9") > 5
    if result.ended is Ended.CALLER_GONE:
        assert any(move == GONE or isinstance(move, CallerGone) for move in moves)
        assert result.path[-1].outcome == "gone"
    # What the record says has really happened.
    if result.ended is not Ended.CALLER_GONE:
        assert result.outcome is not Outcome.TALKED or line.of("connect")
        assert result.outcome is not Outcome.EMERGENCY or line.of("emergency")
        assert result.outcome is not Outcome.MESSAGE or line.of("record")


@settings(max_examples=150, deadline=None)
@given(flows(), st.lists(st.sampled_from([NOTHING, *"12345678"]), max_size=30))
def test_without_faults_it_ends_in_the_flow(pinned: PinnedFlow, moves: list[Move]) -> None:
    result = run(pinned, CountedLine(moves), ListTrace(), DefaultNumbers())
    assert result.ended is Ended.HUNG_UP
    # Nobody is signed in: whoever was not served by the flow itself has been offered a message.
    assert result.outcome in (Outcome.SELF_SERVED, Outcome.MESSAGE, Outcome.NOT_SERVED)
