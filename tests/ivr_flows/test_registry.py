from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import Invalid, NotFound
from ivr_flows.registry import LIBRARY, FlowRegistry, PinnedFlow
from ivr_flows.schema import load_flow


def test_every_number_gets_the_default_flow_unless_assigned() -> None:
    default = load_flow(LIBRARY / "default.yaml")
    other = default.model_copy(update={"id": "other"})
    registry = FlowRegistry([default, other], {"12329": "other", "12333": "gone"})
    assert registry.flow_for("12345").flow.id == "default"
    assert registry.flow_for("12329").flow.id == "other"
    assert registry.flow_for("12333").flow.id == "default"
    assert registry.flow_for("").flow.id == "default"
    assert [pinned.flow.id for pinned in registry.all()] == ["default", "other"]


def test_version_is_made_of_the_content() -> None:
    flow = load_flow(LIBRARY / "default.yaml")
    version = PinnedFlow(flow).version
    assert version.startswith("default@")
    assert len(version) <= 64
    assert PinnedFlow(load_flow(LIBRARY / "default.yaml")).version == version
    node = flow.nodes["welcome"].model_copy(update={"seconds": 6})
    assert PinnedFlow(flow.model_copy(update={"nodes": {**flow.nodes, "welcome": node}})).version != version


def test_a_call_keeps_its_flow_when_the_registry_is_replaced(tmp_path: Path) -> None:
    text = (LIBRARY / "default.yaml").read_text("utf-8")
    (tmp_path / "default.yaml").write_text(text, "utf-8")
    pinned = FlowRegistry.load(folder=tmp_path).flow_for("12345")
    before = pinned.version
    (tmp_path / "default.yaml").write_text(text.replace("version: 1", "version: 2"), "utf-8")
    assert FlowRegistry.load(folder=tmp_path).flow_for("12345").version != before
    assert pinned.version == before
    with pytest.raises(Exception, match="frozen"):
        pinned.flow.start = "goodbye"  # type: ignore[misc]


def test_without_a_default_flow_nothing_starts(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        FlowRegistry.load(folder=tmp_path)
    with pytest.raises(NotFound):
        FlowRegistry.load().get("nothing")


def test_a_file_must_be_named_like_its_flow(tmp_path: Path) -> None:
    (tmp_path / "night.yaml").write_text((LIBRARY / "default.yaml").read_text("utf-8"), "utf-8")
    with pytest.raises(Invalid, match=r"night\.yaml: its id is 'default'"):
        FlowRegistry.load(folder=tmp_path)
