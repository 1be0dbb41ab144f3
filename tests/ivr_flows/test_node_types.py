"""Every node type is whole: class, documentation, tests."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import ivr_flows
from core.settings import REPO
from ivr_flows.errors import AlwaysKey, CallerGone
from ivr_flows.node import Node
from ivr_flows.nodes import NODE_TYPES

ROOM = Path(ivr_flows.__file__).parent
HEADINGS = re.findall(r"^## `(\w+)`", (REPO / "docs" / "flow-nodes.md").read_text("utf-8"), re.MULTILINE)


def test_all_types_of_this_stage_are_found() -> None:
    assert {"play", "menu", "language", "queue", "message", "emergency", "hangup"} <= set(NODE_TYPES)


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_has_a_heading_in_the_docs(name: str) -> None:
    assert HEADINGS.count(name) == 1, f"docs/flow-nodes.md needs one heading: ## `{name}`"


def test_docs_describe_no_type_that_does_not_exist() -> None:
    assert set(HEADINGS) == set(NODE_TYPES)


@pytest.mark.parametrize("name", sorted(NODE_TYPES))
def test_has_tests_of_its_own(name: str) -> None:
    assert (Path(__file__).parent / "nodes" / f"test_{name}.py").is_file()


@pytest.mark.parametrize(("name", "node"), sorted(NODE_TYPES.items()))
def test_every_field_is_mentioned_in_the_docs(name: str, node: type[Node]) -> None:
    text = (REPO / "docs" / "flow-nodes.md").read_text("utf-8")
    section = text.split(f"## `{name}`")[1].split("\n## ")[0]
    for field in set(node.model_fields) - {"type", "next"}:
        assert f"`{field}`" in section, f"docs/flow-nodes.md, {name}: field {field} is not described"


def test_a_hang_up_is_caught_in_one_place_only() -> None:
    """CallerGone and everything broader than Exception: only in the engine's run()."""
    caught = []
    for path in sorted(ROOM.rglob("*.py")):
        for item in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(item, ast.ExceptHandler):
                names = (
                    {name.id for name in ast.walk(item.type) if isinstance(name, ast.Name)} if item.type else {"bare"}
                )
                if names & {"CallerGone", "BaseException", "bare"}:
                    caught.append(path.name)
    assert caught == ["engine.py"]


def test_no_broad_except_can_swallow_a_hang_up_or_an_emergency_key() -> None:
    assert not issubclass(CallerGone, Exception)
    assert not issubclass(AlwaysKey, Exception)
