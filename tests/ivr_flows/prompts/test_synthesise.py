from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from core.errors import Unavailable
from ivr_flows.prompts import audio
from ivr_flows.prompts.catalogue import Catalogue
from ivr_flows.prompts.store import PromptStore
from ivr_flows.prompts.synthesise import PromptMaker, Report, make_music

# A voice that hums as long as the text it is given, and writes down what it was asked.
FAKE = """
import sys, wave, array, math
text = sys.stdin.buffer.read().decode()
log, arguments = sys.argv[1], sys.argv[2:]
open(log, "a").write(arguments[arguments.index("-v") + 1] + "|" + text + "\\n")
count = 2000 * len(text)
with wave.open(arguments[arguments.index("-w") + 1], "wb") as out:
    out.setparams((1, 2, 22050, count, "NONE", ""))
    hum = (int(9000 * math.sin(i / 9)) * (i % 7000 > 900) for i in range(count))
    out.writeframes(array.array("h", hum).tobytes())
"""
TEXTS: dict[str, dict[str, Any]] = {
    "greeting": {"zh": "您好，喀什。", "ug": "ياخشىمۇسىز."},
    "connecting": {"zh": "请稍候。", "ug": "سەل ساقلاڭ."},
    "net-notice": {"zh": "您好。", "ug": "ياخشىمۇسىز.", "bilingual": True},
    "tone": {"tone": {"hertz": 1000, "seconds": 0.4}},
}


class Home:
    """A home with a fake voice."""

    def __init__(self, root: Path, cache: Path | None = None) -> None:
        self.prompts, self.recorded, self.cache = root / "prompts", root / "prompts-recorded", cache or root / "cache"
        self.log, program = root / "voice.log", root / "voice.py"
        root.mkdir(parents=True, exist_ok=True)
        program.write_text(FAKE, "utf-8")
        self.espeak: list[str] = [sys.executable, str(program), str(self.log)]
        self.texts = {name: dict(text) for name, text in TEXTS.items()}

    def make(self) -> Report:
        def find() -> Sequence[str]:
            return self.espeak

        catalogue = Catalogue.model_validate({"prompts": self.texts})
        return PromptMaker(catalogue, self.prompts, self.recorded, self.cache, find).make()

    def spoken(self) -> list[str]:
        """What the voice was asked since the last look."""
        lines = self.log.read_text("utf-8").splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return lines

    def record(self, name: str, loudness: float = 0.02) -> None:
        path = self.recorded / name
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = audio.tone(700, 1.5, 44100) * loudness
        soundfile.write(str(path), np.column_stack([wave, wave]), 44100)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "h")


def test_every_prompt_in_both_languages_and_rates(home: Home) -> None:
    report = home.make()
    assert (report.made, report.cached, report.unchanged) == (6, 2, 0)  # one net-notice and one tone for both folders
    for name in TEXTS:
        for language in ("zh", "ug"):
            for ending, rate in audio.RATES.items():
                samples, found = soundfile.read(str(home.prompts / language / f"{name}{ending}"))
                measured = audio.measure(samples, rate)
                assert found == rate
                assert measured.level == pytest.approx(audio.LEVEL, abs=1)
                assert measured.peak <= audio.PEAK + 0.05
    assert report.files["zh/tone"].source == "tone"
    assert report.files["zh/greeting"].source == "synthesised"
    assert sorted(path.name for path in home.prompts.iterdir()) == ["manifest.json", "ug", "zh"]
    assert not list(home.prompts.rglob(".*"))


def test_voices_get_pinyin_and_uyghur_clause_by_clause(home: Home) -> None:
    home.make()
    spoken = home.spoken()
    assert {line.split("|")[0].split("+")[0] for line in spoken} == {"cmn-latn-pinyin", "ug"}
    assert {line.split("|")[1] for line in spoken} >= {"nin2 hao3", "ka1 shi2", "سەل ساقلاڭ"}


def test_bilingual_prompts_say_both_in_the_same_file(home: Home) -> None:
    report = home.make()
    assert (home.prompts / "zh/net-notice.wav").read_bytes() == (home.prompts / "ug/net-notice.wav").read_bytes()
    assert report.files["zh/net-notice"].seconds > report.files["ug/greeting"].seconds


def test_a_second_run_does_nothing(home: Home) -> None:
    home.make()
    home.spoken()
    before = {path: path.stat().st_mtime_ns for path in home.prompts.rglob("*.wav*")}
    report = home.make()
    assert (report.made, report.cached, report.unchanged) == (0, 0, 8)
    assert home.spoken() == []
    assert {path: path.stat().st_mtime_ns for path in home.prompts.rglob("*.wav*")} == before


def test_a_changed_text_changes_one_file(home: Home) -> None:
    home.make()
    home.spoken()
    home.texts["connecting"]["ug"] = "ساقلاڭ."
    report = home.make()
    assert (report.made, report.unchanged) == (1, 7)
    assert [line.split("|")[1] for line in home.spoken()] == ["ساقلاڭ"]


def test_another_home_is_filled_from_the_cache_without_a_voice(home: Home, tmp_path: Path) -> None:
    home.make()
    other = Home(tmp_path / "other", cache=home.cache)
    other.espeak = ["/nowhere/espeak-ng"]
    report = other.make()
    assert (report.made, report.cached) == (0, 8)
    for path in home.prompts.rglob("*.wav*"):
        assert (other.prompts / path.relative_to(home.prompts)).read_bytes() == path.read_bytes()
    assert other.make().files == home.make().files


def test_files_that_vanish_and_damaged_manifests_are_repaired(home: Home) -> None:
    home.make()
    (home.prompts / "ug/greeting.wav16").unlink()
    assert (
        home.make().cached,
        PromptStore(home.prompts, Catalogue.model_validate({"prompts": home.texts})).missing(),
    ) == (
        1,
        [],
    )
    for content in ("{", "[]", '{"zh/greeting": {"key": 1}}'):
        (home.prompts / "manifest.json").write_text(content, "utf-8")
        assert home.make().cached == 8
    assert home.make().unchanged == 8


@pytest.mark.parametrize("ending", [".wav", ".flac", ".ogg"])
def test_a_recording_wins_and_taking_it_away_brings_the_voice_back(home: Home, ending: str) -> None:
    home.make()
    voice = (home.prompts / "zh/greeting.wav").read_bytes()
    home.record(f"zh/greeting{ending}")
    report = home.make()
    assert report.files["zh/greeting"].source == "recorded"
    assert report.files["ug/greeting"].source == "synthesised"
    assert report.files["zh/greeting"].level == pytest.approx(audio.LEVEL, abs=1)
    assert (home.prompts / "zh/greeting.wav").read_bytes() != voice
    home.record(f"zh/greeting{ending}", loudness=0.5)  # recorded again: equally loud as before, but another file
    assert home.make().made == 1
    (home.recorded / f"zh/greeting{ending}").unlink()
    home.make()
    assert (home.prompts / "zh/greeting.wav").read_bytes() == voice


def test_a_recording_that_cannot_be_used_is_named_and_the_voice_speaks(home: Home) -> None:
    home.record("zh/greeting.wav", loudness=0.0)
    (home.recorded / "zh/connecting.wav").write_bytes(b"no audio")
    report = home.make()
    assert len(report.problems) == 2
    assert all("zh" in problem or "recording" in problem for problem in report.problems)
    assert report.files["zh/greeting"].source == "synthesised"
    assert report.files["zh/connecting"].source == "synthesised"


def test_a_greeting_that_is_too_long_is_named(home: Home) -> None:
    home.texts["greeting"]["zh"] = "您" * 60 + "。"
    (problem,) = home.make().problems
    assert "greeting lasts" in problem
    assert "10 s" in problem


@pytest.mark.parametrize(
    "espeak",
    [
        ["/nowhere/espeak-ng"],
        [sys.executable, "-c", "import sys; sys.exit('no such voice')"],
        [sys.executable, "-c", "pass"],
    ],
)
def test_a_voice_that_cannot_speak_is_told(home: Home, espeak: list[str]) -> None:
    home.espeak = espeak
    with pytest.raises(Unavailable) as caught:
        home.make()
    assert caught.value.id == "no-voice"
    assert not list(home.prompts.rglob("*.wav"))


def test_music_is_computed_once_per_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert make_music(tmp_path / "a/moh", cache) is True
    assert make_music(tmp_path / "b/moh", cache) is False
    for home in ("a", "b"):
        assert sorted(path.name for path in (tmp_path / home / "moh").iterdir()) == ["calm.wav", "calm.wav16"]
    (tmp_path / "b/moh/calm.wav").write_bytes(b"")
    make_music(tmp_path / "b/moh", cache)
    assert (tmp_path / "b/moh/calm.wav").stat().st_size > 700_000
