"""The shipped prompts, spoken by the real espeak-ng, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.settings import load
from ivr_flows.prompts import audio
from ivr_flows.prompts.catalogue import LANGUAGES, shipped
from ivr_flows.prompts.store import PromptStore
from ivr_flows.prompts.synthesise import GREETING, GREETING_SECONDS, Report
from yihu import speech_tool
from yihu.prompts_setup import prepare

pytestmark = pytest.mark.slow
TEXTS = [
    (language, name)
    for name, entry in shipped().prompts.items()
    for language in LANGUAGES
    if entry.tone is None and not entry.bilingual
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report, list[str]]:
    home = tmp_path_factory.mktemp("voice")
    told: list[str] = []
    espeak = speech_tool.ensure(load(), told.append)  # fetched here if this machine has none
    told.clear()
    settings = load(home=home, tools=home / "tools")  # an empty cache: everything is really spoken
    report = prepare(settings, told.append, espeak)
    return home, report, told


def test_everything_is_made_without_complaint(made: tuple[Path, Report, list[str]]) -> None:
    home, report, told = made
    assert report.problems == []
    assert told == [f"prompts: {report.made} made, {report.cached} from the cache, 0 unchanged"]
    assert PromptStore(home / "prompts").missing() == []
    assert (home / "moh" / "calm.wav16").is_file()


def test_the_greeting_fits_into_its_time(made: tuple[Path, Report, list[str]]) -> None:
    seconds = sum(made[1].files[f"{language}/{GREETING}"].seconds for language in LANGUAGES)
    assert seconds <= float(GREETING_SECONDS.default)


@pytest.mark.parametrize(("language", "name"), TEXTS)
def test_length_level_and_band_are_those_of_speech(
    made: tuple[Path, Report, list[str]], language: str, name: str
) -> None:
    """What a machine can tell without ears: a wrong voice, letters spelt out or tones read aloud would show here."""
    text = getattr(shipped().prompts[name], language)
    for ending, rate in audio.RATES.items():
        samples, _ = soundfile.read(str(made[0] / "prompts" / language / f"{name}{ending}"))
        measured = audio.measure(samples, rate)
        assert measured.level == pytest.approx(audio.LEVEL, abs=1)
        assert measured.peak <= audio.PEAK + 0.05
        assert measured.speaking > 0.5
        units = sum(character.isalnum() for character in text)
        least, most = {"zh": (0.15, 0.45), "ug": (0.05, 0.22)}[language]  # a second per syllable, per letter
        assert least < measured.seconds / units < most
        power = np.abs(np.fft.rfft(samples)) ** 2
        hertz = np.fft.rfftfreq(len(samples), 1 / rate)
        assert power[(hertz > 80) & (hertz < 3400)].sum() / power.sum() > 0.85
