from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Invalid
from ivr_flows import yamltext
from ivr_flows.registry import LIBRARY
from ivr_flows.schema import load_flow, parse_flow

GOOD: dict[str, Any] = yaml.safe_load((LIBRARY / "default.yaml").read_text("utf-8"))


def broken(*changes: tuple[tuple[str, ...], Any]) -> dict[str, Any]:
    data = copy.deepcopy(GOOD)
    for path, value in changes:
        place = data
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value
    return data


@pytest.mark.parametrize(
    ("change", "node", "field", "says"),
    [
        ((("nodes", "welcome", "next", "mandarin"), "nowhere"), "welcome", "next.mandarin", "no node 'nowhere'"),
        ((("nodes", "welcome", "next", "maybe"), "goodbye"), "welcome", "next.maybe", "no outcome 'maybe'"),
        ((("nodes", "goodbye", "next"), {"done": "welcome"}), "goodbye", "next.done", "no outcome 'done'"),
        ((("nodes", "welcome", "typo"), 1), "welcome", "typo", "unknown name"),
        ((("nodes", "welcome", "type"), "rocket"), "welcome", "type", "no such node type"),
        ((("nodes", "welcome", "type"), ...), "welcome", "type", "no such node type"),
        ((("nodes", "welcome", "prompts"), ...), "welcome", "prompts", "is missing"),
        ((("nodes", "welcome", "prompts"), []), "welcome", "prompts", "at least 1"),
        ((("nodes", "welcome", "keys", "9"), "mandarin"), "welcome", "keys.9", "means the same everywhere"),
        ((("nodes", "welcome", "keys", "0"), "mandarin"), "welcome", "keys.0", "means the same everywhere"),
        ((("nodes", "welcome", "keys", "12"), "mandarin"), "welcome", "keys.12", "does not look right"),
        ((("nodes", "ask-person", "queue"), "../etc"), "ask-person", "queue", "does not look right"),
        ((("nodes", "emergency", "line"), "911"), "emergency", "line", "'110', '119', '120' or '122'"),
        ((("nodes", "Bad Name"), {"type": "hangup"}), "Bad Name", "type", "does not look right"),
        ((("nodes", "welcome"), 5), "welcome", "type", ""),
        ((("start",), "nowhere"), "", "start", "no node 'nowhere'"),
        ((("always", "error"), "nowhere"), "", "always.error", "no node 'nowhere'"),
        ((("always", "rescue"), "goodbye"), "", "always.rescue", "unknown name"),
        ((("languages",), ["zh", "zh"]), "", "languages", "named twice"),
        ((("languages",), []), "", "languages", "at least 1"),
        ((("title", "ug"), ...), "", "title.ug", "is missing"),
        ((("version",), 0), "", "version", "greater than or equal to 1"),
        ((("colour",), "red"), "", "colour", "unknown name"),
        ((("nodes",), {}), "", "nodes", "at least 1"),
    ],
)
def test_errors_name_file_node_reason_and_fix(change: Any, node: str, field: str, says: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_flow(broken(change), "default.yaml")
    error = caught.value
    assert error.id == "flow-invalid"
    assert error.detail.startswith("default.yaml: ")
    finding = next(f for f in error.data["findings"] if (f["node"], f["field"]) == (node, field))
    assert says in finding["reason"]
    assert node in error.detail
    assert field in error.detail


def test_all_findings_are_told_at_once() -> None:
    data = broken((("start",), "nowhere"), (("nodes", "welcome", "next", "maybe"), "goodbye"))
    with pytest.raises(Invalid) as caught:
        parse_flow(data, "x")
    assert {(f["node"], f["field"]) for f in caught.value.data["findings"]} == {
        ("", "start"),
        ("welcome", "next.maybe"),
    }
    assert all(f["fix"] for f in caught.value.data["findings"])


def test_reserved_keys_follow_the_policy() -> None:
    data = broken((("nodes", "welcome", "keys", "9"), "mandarin"))
    parse_flow(data, "x", reserved_keys="08")
    with pytest.raises(Invalid):
        parse_flow(broken((("nodes", "welcome", "keys", "8"), "mandarin")), "x", reserved_keys="08")


def test_a_draft_with_missing_edges_loads() -> None:
    flow = parse_flow(broken((("nodes", "welcome", "next"), {})), "x")
    assert flow.nodes["welcome"].next == {}


@pytest.mark.parametrize("data", [None, 5, "text", [], {}, {"nodes": []}, {"nodes": {"a": None}}])
def test_nonsense_is_refused(data: object) -> None:
    with pytest.raises(Invalid):
        parse_flow(data, "x")


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * (yamltext.MAX_BYTES + 10))
    with pytest.raises(Invalid) as caught:
        load_flow(path)
    assert caught.value.id == "yaml-too-large"


# -- fuzz: whatever is fed in, a clear error or a flow --------------------------------------------------------

SOURCE = (LIBRARY / "default.yaml").read_text("utf-8")
SNIPPETS = [
    "&a",
    "*a",
    "!!python/object:os.system",
    "<<",
    "{",
    "]",
    ": ",
    "- ",
    "|",
    ">",
    "\t",
    "\x00",
    "0x1g",
    "1e999",
    "~",
]


def check(text: str | bytes) -> None:
    try:
        parse_flow(yamltext.load(text, "fuzz.yaml"), "fuzz.yaml")
    except Invalid as exc:
        assert exc.detail.startswith("fuzz.yaml:")  # noqa: PT017 (whether it raises is what varies)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_mutilated_flows(data: st.DataObject) -> None:
    text = SOURCE
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        end = at + data.draw(st.integers(0, 12))
        insert = data.draw(st.sampled_from(SNIPPETS) | st.text(max_size=6))
        text = text[:at] + insert + text[end:]
    check(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_wrong_values_anywhere(data: st.DataObject) -> None:
    """Any value of a good flow replaced by any other value."""
    flow = copy.deepcopy(GOOD)
    place: Any = flow
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(JSON)
    try:
        parse_flow(flow, "fuzz.yaml")
    except Invalid as exc:
        assert exc.detail.startswith("fuzz.yaml: ")  # noqa: PT017


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes(content: bytes) -> None:
    check(content)
