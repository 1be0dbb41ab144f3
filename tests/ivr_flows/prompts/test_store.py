from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from core.errors import NotFound
from ivr_flows.prompts.catalogue import shipped
from ivr_flows.prompts.store import PromptStore


@pytest.fixture
def store(tmp_path: Path) -> PromptStore:
    for name in ("zh/greeting", "ug/greeting", "zh/goodbye"):
        path = tmp_path / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.touch()
        path.with_suffix(".wav16").touch()
    return PromptStore(tmp_path)


def test_absolute_path_without_extension(store: PromptStore, tmp_path: Path) -> None:
    with capture_logs() as logs:
        assert store.path("greeting", "ug") == str(tmp_path / "ug" / "greeting")
    assert logs == []


@pytest.mark.parametrize("language", ["ug", "kk", "../zh", ""])
def test_another_language_is_better_than_silence(store: PromptStore, tmp_path: Path, language: str) -> None:
    with capture_logs() as logs:
        assert store.path("goodbye", language) == str(tmp_path / "zh" / "goodbye")
    assert [entry["log_level"] for entry in logs] == ["warning"]


@pytest.mark.parametrize("prompt_id", ["no-such-prompt", "../../etc/passwd", ""])
def test_unknown_ids_are_refused(store: PromptStore, prompt_id: str) -> None:
    with pytest.raises(NotFound) as caught:
        store.path(prompt_id, "zh")
    assert caught.value.id == "no-such-prompt"


def test_a_prompt_that_was_never_made(store: PromptStore) -> None:
    with pytest.raises(NotFound) as caught:
        store.path("connecting", "zh")
    assert caught.value.id == "prompt-not-made"
    assert "bin/yihu up" in caught.value.fix


def test_what_is_missing(store: PromptStore, tmp_path: Path) -> None:
    missing = store.missing()
    assert "ug/goodbye" in missing
    assert "zh/greeting" not in missing
    assert len(missing) == 2 * len(shipped().prompts) - 3
    (tmp_path / "zh" / "greeting.wav16").unlink()
    assert "zh/greeting" in store.missing()
