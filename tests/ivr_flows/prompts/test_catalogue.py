"""Every prompt that anything plays is in the catalogue, in every language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from core.errors import Invalid, NotFound
from core.settings import REPO
from ivr_flows.engine import rescue_flow
from ivr_flows.prompts.catalogue import LANGUAGES, read, shipped
from ivr_flows.prompts.synthesise import GREETING
from ivr_flows.registry import FlowRegistry
from yihu.asterisk_config import NET_PROMPTS

PROMPTS = shipped().prompts
_HAN_AND_DIGITS = re.compile(r"^[\u4e00-\u9fff0-9，。、？！]+$")
_UYGHUR_AND_DIGITS = re.compile(r"^[ئابپتجچخدرزژسشغفقكگڭلمنھوۇۆۈۋېىيە0-9 ،.؟!]+$")


@pytest.mark.parametrize("pinned", [*FlowRegistry.load().all(), rescue_flow()], ids=lambda pinned: pinned.flow.id)
def test_prompts_of_flows(pinned: object) -> None:
    flow = pinned.flow  # type: ignore[attr-defined]
    assert flow.prompts_used() <= set(PROMPTS)
    assert set(flow.languages) <= set(LANGUAGES)


def test_prompts_of_the_waiting_loop() -> None:
    spoken = set()
    for path in (REPO / "agi").glob("*.py"):
        spoken |= set(re.findall(r'\.say\(\s*"([^"]+)"', path.read_text("utf-8")))
    assert {"wait-busy", "wait-agent-lost"} <= spoken
    assert spoken <= set(PROMPTS)


@pytest.mark.parametrize("prompt_id", NET_PROMPTS)
def test_prompts_of_the_dialplan_speak_both_languages_in_one_file(prompt_id: str) -> None:
    assert PROMPTS[prompt_id].bilingual


@pytest.mark.parametrize("prompt_id", [name for name, entry in PROMPTS.items() if entry.tone is None])
def test_texts_are_in_the_right_script(prompt_id: str) -> None:
    entry = PROMPTS[prompt_id]
    assert _HAN_AND_DIGITS.match(entry.zh or "")
    assert _UYGHUR_AND_DIGITS.match(entry.ug or "")


def test_the_greeting_says_that_the_call_is_recorded() -> None:
    for prompt_id in (GREETING, "net-notice"):
        assert "录音" in (PROMPTS[prompt_id].zh or "")
        assert "ئۈنگە" in (PROMPTS[prompt_id].ug or "")


def test_what_a_file_says() -> None:
    assert [language for language, _ in PROMPTS["net-notice"].speech("ug")] == ["zh", "ug"]
    assert [language for language, _ in PROMPTS["greeting"].speech("ug")] == ["ug"]
    assert PROMPTS["tone"].speech("zh") == []
    with pytest.raises(NotFound):
        shipped().entry("no-such-prompt")


@pytest.mark.parametrize(
    "text",
    [
        "prompts: {a: {zh: 好}}",
        "prompts: {a: {zh: 好, ug: ياخشى, tone: {hertz: 1000, seconds: 1}}}",
        "prompts: {a: {}}",
        "prompts: {a: {zh: 好, ug: ياخشى, en: good}}",
        "prompts: {../a: {zh: 好, ug: ياخشى}}",
        "prompts: [a]",
        "prompts: {a: {zh: 好, ug: ياخشى}, a: {zh: 好, ug: ياخشى}}",
    ],
)
def test_a_wrong_catalogue_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(text, "utf-8")
    with pytest.raises(Invalid, match=r"catalogue\.yaml"):
        read(path)
