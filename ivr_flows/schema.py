"""A flow as data: nodes and the edges between them by outcome.

A flow that loads here can run: every edge leads to a node that exists, every outcome named is one the node has.
Whether it may be published (reachable, no dead ends, all prompts there) is a question for a validator, not for
loading: a draft must be loadable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Union

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from core.errors import Invalid
from core.policy import declare
from ivr_flows import yamltext
from ivr_flows.node import Identifier, Language, Node
from ivr_flows.nodes import NODE_TYPES

PERSON_KEY = declare(
    "flow.person_key", "0", "key", "随时转人工按键", "SPEC 3.1: 0 = a person; no source for Kashgar's map"
)
EMERGENCY_KEY = declare("flow.emergency_key", "9", "key", "随时紧急求助按键", "SPEC 3.1: 9 = emergency; no source")

if TYPE_CHECKING:
    AnyNode = Node
else:
    AnyNode = Annotated[Union[tuple(NODE_TYPES.values())], Field(discriminator="type")]  # noqa: UP007 (built at run time)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Title(_Part):
    """A name for people, in each language of the pages."""

    zh: str = Field(min_length=1, max_length=80)
    en: str = Field(min_length=1, max_length=80)
    ug: str = Field(min_length=1, max_length=80)


class Always(_Part):
    """Where what can happen in every node leads. What is not given here the engine answers with its rescue flow."""

    person: Identifier | None = Field(None, description="Node for the key that asks for a person")
    emergency: Identifier | None = Field(None, description="Node for the emergency key")
    error: Identifier | None = Field(None, description="Node that follows when a node fails")


class Flow(_Part):
    """A flow. ``version`` is the author's own count; what a call is pinned to is a hash of the content."""

    id: Identifier
    title: Title
    version: int = Field(ge=1)
    languages: tuple[Language, ...] = Field(min_length=1, max_length=8, description="The first one is the default")
    start: Identifier
    always: Always = Always(person=None, emergency=None, error=None)
    nodes: dict[Identifier, AnyNode] = Field(min_length=1, max_length=300)

    @field_validator("languages")
    @classmethod
    def _once(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(languages)) != len(languages):
            raise ValueError("a language is named twice")
        return languages

    def prompts_used(self) -> frozenset[str]:
        """Ids of all prompts the flow may play."""
        return frozenset(prompt for node in self.nodes.values() for prompt in node.prompts_used())


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in a flow: in which node (empty: the flow itself), which field, why, and what to do."""

    node: str
    field: str
    reason: str
    fix: str

    def __str__(self) -> str:
        where = f"node {self.node}, {self.field}" if self.node else self.field
        return f"{where}: {self.reason} ({self.fix})" if self.fix else f"{where}: {self.reason}"


def load_flow(path: Path, reserved_keys: str | None = None) -> Flow:
    """Read a flow file. Raises Invalid (see :func:`parse_flow`)."""
    with path.open("rb") as handle:  # one byte more than allowed shows that it is too large
        return parse_flow(yamltext.load(handle.read(yamltext.MAX_BYTES + 1), path.name), path.name, reserved_keys)


def parse_flow(data: object, source: str, reserved_keys: str | None = None) -> Flow:
    """A flow out of plain data. ``reserved_keys`` are those no node may use (default: 0 and 9).

    Raises Invalid: its detail names ``source``, node, reason and fix of every finding; ``data["findings"]`` has
    them one by one.
    """
    try:
        flow = Flow.model_validate(data)
    except ValidationError as exc:
        raise _invalid(source, [_finding(error) for error in exc.errors(include_url=False)]) from None
    reserved = str(PERSON_KEY.default) + str(EMERGENCY_KEY.default) if reserved_keys is None else reserved_keys
    findings = [*_edge_findings(flow), *_key_findings(flow, reserved)]
    if findings:
        raise _invalid(source, findings)
    return flow


def _invalid(source: str, findings: list[Finding]) -> Invalid:
    shown = findings[:20]
    text = "; ".join(str(finding) for finding in shown)
    more = f"; and {len(findings) - len(shown)} more" if len(findings) > len(shown) else ""
    return Invalid(
        f"{source}: {text}{more}",
        id="flow-invalid",
        fix=shown[0].fix,
        data={"source": source, "findings": [asdict(finding) for finding in findings]},
    )


def _edge_findings(flow: Flow) -> Iterable[Finding]:
    known = ", ".join(sorted(flow.nodes))
    known = known if len(known) <= 200 else known[:200] + " …"
    if flow.start not in flow.nodes:
        yield Finding("", "start", f"there is no node {flow.start!r}", f"one of: {known}")
    for name, target in flow.always.model_dump(exclude_none=True).items():
        if target not in flow.nodes:
            yield Finding("", f"always.{name}", f"there is no node {target!r}", f"one of: {known}")
    for node_id, node in flow.nodes.items():
        outcomes = node.outcomes()
        for outcome, target in node.next.items():
            if outcome not in outcomes:
                has = ", ".join(outcomes) or "none: the call ends here"
                yield Finding(node_id, f"next.{outcome}", f"{node.type} has no outcome {outcome!r}", f"it has: {has}")
            if target not in flow.nodes:
                yield Finding(node_id, f"next.{outcome}", f"there is no node {target!r}", f"one of: {known}")


def _key_findings(flow: Flow, reserved: str) -> Iterable[Finding]:
    for node_id, node in flow.nodes.items():
        for key in node.keys_used():
            if key in reserved:
                reason = f"key {key} means the same everywhere (a person, an emergency)"
                yield Finding(node_id, f"keys.{key}", reason, "use another key; set its target under always")


def _finding(error: Any) -> Finding:
    """A pydantic error in words of flows."""
    location = [str(part) for part in error["loc"]]
    node = ""
    if location[:1] == ["nodes"] and len(location) > 1:
        node, location = location[1], location[2:]
        if location[:1] and location[0] in NODE_TYPES:
            location = location[1:]  # pydantic names the member of the union here
    field = ".".join(part for part in location if part != "[key]") or ("type" if node else "flow")
    reason, fix = str(error["msg"]), ""
    match error["type"]:
        case "extra_forbidden":
            reason, fix = "unknown name", "remove it, or correct its spelling"
        case "missing":
            reason, fix = "is missing", "add it"
        case "union_tag_invalid" | "union_tag_not_found":
            field, reason, fix = "type", "no such node type", f"one of: {', '.join(NODE_TYPES)}"
        case "string_pattern_mismatch":
            reason = f"does not look right (pattern {error['ctx']['pattern']})"
            fix = "see docs/flow-nodes.md"
    return Finding(node[:80], field[:120], reason[:300], fix)
