"""Runs a flow over ports: node → outcome → edge, until the caller is gone or has been served.

A caller is never left without an answer. When something goes wrong:

    a node fails        → the flow's own error path, once
                        → a person (the rescue flow)
    the flow circles    → a person (the rescue flow)
    the rescue fails    → FAILED: the session leaves the call to Asterisk's safety net, which has people, too
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path

from core import log
from core.policy import declare
from core.records import Outcome
from ivr_flows.call import Facts, FlowCall, number, text
from ivr_flows.errors import AlwaysKey, CallerGone
from ivr_flows.node import Node
from ivr_flows.ports import Line, Numbers, Trace
from ivr_flows.registry import PinnedFlow
from ivr_flows.schema import EMERGENCY_KEY, PERSON_KEY, load_flow

MAX_STEPS = declare("flow.max_steps", 200, "nodes", "单次通话最多经过的流程节点", "[D] guards against endless loops")
MAX_VISITS = declare("flow.max_node_visits", 10, "times", "同一节点最多经过次数", "[D] guards against endless loops")


class Ended(StrEnum):
    """How a run ended."""

    CALLER_GONE = "caller_gone"
    HUNG_UP = "hung_up"  # by the flow, at its end
    FAILED = "failed"  # our parts failed again and again: the caller is still there and needs the safety net


@dataclass(frozen=True, slots=True)
class Step:
    """A node that was run. ``outcome`` is the node's own, or ``key_0``, ``error``, ``gone``."""

    flow: str
    node: str
    type: str
    outcome: str


@dataclass(frozen=True, slots=True)
class FlowResult:
    path: tuple[Step, ...]
    ended: Ended
    outcome: Outcome
    language: str


def run(pinned: PinnedFlow, line: Line, trace: Trace, numbers: Numbers) -> FlowResult:
    """Answer the call and run the flow to its end. Returns in every case; raises no Exception of any port."""
    return _Walk(pinned, line, trace, numbers).run()


@cache
def rescue_flow() -> PinnedFlow:
    """The flow behind all flows (ivr_flows/rescue.yaml)."""
    return PinnedFlow(load_flow(Path(__file__).parent / "rescue.yaml"))


@dataclass(frozen=True, slots=True)
class _Place:
    pinned: PinnedFlow
    node_id: str


@dataclass
class _Limits:
    """Counts visits of nodes; the counts of a flow start anew when the rescue flow takes over."""

    steps: int
    visits: int
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)

    def exceeded(self, flow_id: str, node_id: str) -> bool:
        self.taken[flow_id] += 1
        self.seen[flow_id, node_id] += 1
        return self.taken[flow_id] > self.steps or self.seen[flow_id, node_id] > self.visits


class _Walk:
    def __init__(self, pinned: PinnedFlow, line: Line, trace: Trace, numbers: Numbers) -> None:
        self.pinned, self.line, self.trace = pinned, line, trace
        person, emergency = text(numbers, PERSON_KEY), text(numbers, EMERGENCY_KEY)
        self.call = FlowCall(line, trace, numbers, pinned.flow.languages, person, emergency)
        self.limits = _Limits(max(20, int(number(numbers, MAX_STEPS))), max(2, int(number(numbers, MAX_VISITS))))
        self.steps: list[Step] = []
        self.error_path_taken = False
        self._log = log.get("flow")

    def run(self) -> FlowResult:
        try:
            ended = self._run()
        except CallerGone as gone:
            self.call.facts.note(gone.reached)
            ended = Ended.CALLER_GONE
        return FlowResult(tuple(self.steps), ended, _outcome(self.call.facts, ended), self.call.language)

    def _run(self) -> Ended:
        try:
            self.line.answer()
        except Exception as exc:
            self._fault("", exc)
            return Ended.FAILED
        place: _Place | None = _Place(self.pinned, self.pinned.flow.start)
        while place is not None:
            node = place.pinned.flow.nodes[place.node_id]  # exists: parse_flow refuses edges to nowhere
            if self.limits.exceeded(place.pinned.flow.id, place.node_id):
                self._fault(place.node_id, RuntimeError("too many steps: the flow goes in circles"))
                place = self._rescue(place)
                continue
            followed = self._step(place, node)
            if followed is None and node.terminal:
                return self._hang_up()
            place = followed
        return Ended.FAILED

    def _step(self, place: _Place, node: Node) -> _Place | None:
        """Run one node; returns where to go on. None: the end (a terminal node), or nothing is left to try."""
        flow = place.pinned.flow
        self.call.traced(lambda: self.trace.node_entered(flow.id, place.pinned.version, place.node_id, node.type))
        # Written before the node runs, so that a hang-up in it leaves it on the path.
        self.steps.append(Step(flow.id, place.node_id, node.type, "gone"))
        try:
            outcome = node.run(self.call)
        except AlwaysKey as pressed:
            self._outcome(f"key_{pressed.key}")
            return self._always(place, pressed.key)
        except Exception as exc:
            self._outcome("error")
            self._fault(place.node_id, exc)
            return None if node.terminal else self._after_error(place)
        self._outcome(outcome)
        if node.terminal:
            return None
        target = node.next.get(outcome)
        if target is None:
            self._fault(place.node_id, RuntimeError(f"nothing follows outcome {outcome!r}"))
            return self._after_error(place)
        return _Place(place.pinned, target)

    def _always(self, place: _Place, key: str) -> _Place:
        """Where a key that works everywhere leads: the flow's own node, else the rescue flow's."""
        name = "emergency" if key == self.call.emergency_key else "person"
        target = getattr(place.pinned.flow.always, name)
        if target is not None:
            return _Place(place.pinned, target)
        rescue = rescue_flow()
        return _Place(rescue, getattr(rescue.flow.always, name))

    def _after_error(self, place: _Place) -> _Place | None:
        error = place.pinned.flow.always.error
        if error is None or self.error_path_taken:
            return self._rescue(place)
        self.error_path_taken = True
        return _Place(place.pinned, error)

    def _rescue(self, place: _Place) -> _Place | None:
        rescue = rescue_flow()
        if place.pinned.flow.id == rescue.flow.id:
            return None
        return _Place(rescue, rescue.flow.start)

    def _hang_up(self) -> Ended:
        try:
            self.line.hang_up()
        except Exception as exc:
            self._fault("", exc)  # served, all the same: the session ends the call
        return Ended.HUNG_UP

    def _outcome(self, outcome: str) -> None:
        last = self.steps[-1]
        self.steps[-1] = Step(last.flow, last.node, last.type, outcome)

    def _fault(self, node_id: str, exc: Exception) -> None:
        self._log.error("flow fault", node=node_id, error=f"{exc.__class__.__name__}: {exc}")
        # The ledger gets no text that could hold a caller's data, except our own words.
        what = str(exc) if isinstance(exc, RuntimeError) else exc.__class__.__name__
        self.call.traced(lambda: self.trace.fault(node_id, what))


def _outcome(facts: Facts, ended: Ended) -> Outcome:
    """The outcome of the call as far as the flow can know it."""
    if facts.reached is not None:
        return facts.reached
    if ended is Ended.FAILED:
        return Outcome.FAILED
    if ended is Ended.CALLER_GONE and facts.waiting:
        return Outcome.ABANDONED_WAITING
    if facts.asked:
        return Outcome.NOT_SERVED
    return Outcome.ABANDONED_IVR if ended is Ended.CALLER_GONE else Outcome.SELF_SERVED
