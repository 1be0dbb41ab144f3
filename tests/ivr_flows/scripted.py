"""A caller and a world out of a script: the ports of a flow in memory, without waiting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.policy import Policy
from ivr_flows.call import FlowCall
from ivr_flows.engine import FlowResult, run
from ivr_flows.errors import CallerGone
from ivr_flows.ports import (
    NO_INPUT,
    ConnectOutcome,
    ConnectRequest,
    ConnectResult,
    EmergencyOutcome,
    Input,
    MessageResult,
    Prompt,
)
from ivr_flows.registry import PinnedFlow
from ivr_flows.schema import parse_flow

Move = Any
"""What happens during one request to the line: a key ("1"), NOTHING, GONE, FAIL, or the request's own outcome."""

NOTHING, GONE, FAIL = "nothing", "gone", "fail"


class PortBroken(Exception):
    """A port that fails, in a way the engine cannot know."""


@dataclass
class ScriptedLine:
    """A line whose requests are answered by ``moves``, one after the other; when they run out, nothing happens."""

    moves: Iterable[Move] = ()
    log: list[tuple[str, Any]] = field(default_factory=list)
    misused: str = ""

    def __post_init__(self) -> None:
        self._moves: Iterator[Move] = iter(self.moves)
        self._gone = self._hung_up = False

    # -- what tests look at -----------------------------------------------------------------------------------

    @property
    def played(self) -> list[str]:
        """All prompts in order, as ``language/id``."""
        return [f"{prompt.language}/{prompt.id}" for what, prompts in self.log if what == "play" for prompt in prompts]

    def of(self, what: str) -> list[Any]:
        return [detail for name, detail in self.log if name == what]

    # -- ivr_flows.ports.Line -----------------------------------------------------------------------------------

    def answer(self) -> None:
        self._request("answer", None)

    def play(self, prompts: Sequence[Prompt], keys: str = "") -> Input:
        return self._key(self._request("play", tuple(prompts)), keys)

    def read_key(self, seconds: float, keys: str) -> Input:
        return self._key(self._request("read_key", (seconds, keys)), keys)

    def record_message(self, max_seconds: float, silence_seconds: float, keys: str) -> MessageResult:
        move = self._request("record", (max_seconds, silence_seconds, keys))
        if isinstance(move, MessageResult):
            return move
        return MessageResult(True, 3.0, "r1", key=move if move in tuple(keys) else "")

    def connect(self, request: ConnectRequest) -> ConnectResult:
        move = self._request("connect", request)
        if isinstance(move, ConnectOutcome):
            return ConnectResult(move)
        if move in tuple(request.keys):
            return ConnectResult(ConnectOutcome.KEY, move)
        return ConnectResult(ConnectOutcome.NO_AGENTS)

    def emergency(self, number: str) -> EmergencyOutcome:
        move = self._request("emergency", number)
        return move if isinstance(move, EmergencyOutcome) else EmergencyOutcome.UNREACHED

    def hang_up(self) -> None:
        self._request("hang_up", None)
        self._hung_up = True

    # -- inside -------------------------------------------------------------------------------------------------

    def _request(self, what: str, detail: Any) -> Move:
        if self._gone or self._hung_up:
            self.misused = f"{what} after the end of the call"
        self.log.append((what, detail))
        # Answering and hanging up take no time in which a caller could do something.
        move = NOTHING if what in ("answer", "hang_up") else next(self._moves, NOTHING)
        if isinstance(move, CallerGone) or move == GONE:
            self._gone = True
            raise move if isinstance(move, CallerGone) else CallerGone
        if move == FAIL:
            raise PortBroken(what)
        return move

    @staticmethod
    def _key(move: Move, keys: str) -> Input:
        return Input.key(move) if isinstance(move, str) and move in tuple(keys) else NO_INPUT


@dataclass
class ListTrace:
    """A trace that keeps what it was told; with ``broken`` it fails each time after having kept it."""

    events: list[tuple[str, ...]] = field(default_factory=list)
    broken: bool = False

    def _add(self, *event: str) -> None:
        self.events.append(event)
        if self.broken:
            raise PortBroken("trace")

    def node_entered(self, flow_id: str, version: str, node_id: str, node_type: str) -> None:
        self._add("node", flow_id, version, node_id, node_type)

    def digit(self, key: str) -> None:
        self._add("digit", key)

    def language(self, language: str) -> None:
        self._add("language", language)

    def fault(self, node_id: str, what: str) -> None:
        self._add("fault", node_id, what)


class DefaultNumbers:
    """Every policy at its default, except for ``values``."""

    def __init__(self, **values: float | str) -> None:
        self.values = {key.replace("__", "."): value for key, value in values.items()}

    def number(self, policy: Policy) -> float:
        return float(self.values.get(policy.key, policy.default))

    def text(self, policy: Policy) -> str:
        return str(self.values.get(policy.key, policy.default))


class BrokenNumbers:
    """Policies with the database away."""

    def number(self, policy: Policy) -> float:
        raise PortBroken(policy.key)

    def text(self, policy: Policy) -> str:
        raise PortBroken(policy.key)


def call(line: ScriptedLine, trace: ListTrace | None = None, **values: float | str) -> FlowCall:
    """A bilingual call for running one node alone."""
    return FlowCall(line, trace or ListTrace(), DefaultNumbers(**values), ("zh", "ug"), "0", "9")


def flow(nodes: dict[str, Any], **fields: Any) -> PinnedFlow:
    """A flow of these nodes, starting at the first one."""
    base = {
        "id": "test",
        "title": {"zh": "测试", "en": "Test", "ug": "سىناق"},
        "version": 1,
        "languages": ["zh", "ug"],
        "start": next(iter(nodes)),
        "nodes": nodes,
    }
    return PinnedFlow(parse_flow({**base, **fields}, "test"))


def run_flow(
    pinned: PinnedFlow, moves: Iterable[Move] = (), trace: ListTrace | None = None
) -> tuple[FlowResult, ScriptedLine]:
    """Run a flow against a script; the line must not be misused."""
    line = ScriptedLine(moves)
    result = run(pinned, line, trace or ListTrace(), DefaultNumbers())
    assert not line.misused
    return result, line


def walked(result: FlowResult) -> list[str]:
    return [f"{step.node}:{step.outcome}" for step in result.path]
