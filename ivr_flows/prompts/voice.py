"""Speech out of espeak-ng, run as a program of its own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.errors import Unavailable
from ivr_flows.prompts import audio
from ivr_flows.prompts.reading import clauses, mandarin, uyghur

SECONDS = 30.0  # a prompt takes well under one second; more means that something hangs
# Seconds of pause after a clause, a sentence, and between two languages in one file (on top of audio.PADDING).
CLAUSE_PAUSE, SENTENCE_PAUSE, LANGUAGE_PAUSE = 0.1, 0.3, 0.5


@dataclass(frozen=True)
class Voice:
    """How a language is spoken. ``speed`` is in words a minute, ``pitch`` from 0 to 99."""

    name: str
    speed: int
    pitch: int


# Chosen by measurement: of the voice variants tried, the one whose Mandarin a recogniser understood best.
VOICES = {"zh": Voice("cmn-latn-pinyin+Annie", 170, 50), "ug": Voice("ug+Annie", 165, 50)}
READINGS = {"zh": mandarin, "ug": uyghur}


def speak(espeak: Sequence[str], speech: Sequence[tuple[str, str]]) -> tuple[audio.Samples, int]:
    """Say each (language, text) in turn; returns samples and their rate.

    ``espeak`` is the command and its first arguments, for instance a loader and ``--path=…`` of a private copy.
    Raises Unavailable when the program is missing or fails.
    """
    parts: list[audio.Samples] = []
    rate = 0
    for language, text in speech:
        for clause, ends in clauses(text):
            samples, rate = _say(espeak, VOICES[language], READINGS[language](clause))
            parts += [audio.trim(samples, rate), audio.silence(SENTENCE_PAUSE if ends else CLAUSE_PAUSE, rate)]
        parts.append(audio.silence(LANGUAGE_PAUSE, rate))
    return np.concatenate(parts), rate  # the pauses at the end are trimmed off later


def recipe(language: str, text: str) -> str:
    """Everything that decides how a text of this language sounds."""
    pauses = (CLAUSE_PAUSE, SENTENCE_PAUSE, LANGUAGE_PAUSE)
    return f"{VOICES[language]} {pauses} {[(READINGS[language](clause), ends) for clause, ends in clauses(text)]}"


def _say(espeak: Sequence[str], voice: Voice, text: str) -> tuple[audio.Samples, int]:
    with tempfile.TemporaryDirectory(prefix="yihu-voice-") as folder:
        wav = Path(folder) / "speech.wav"
        command = [*espeak, "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch), "-z", "-b", "1"]
        try:
            done = subprocess.run(
                [*command, "-w", str(wav), "--stdin"],
                input=text.encode(),
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as exc:
            raise Unavailable(f"espeak-ng cannot be run: {exc}", id="no-voice", fix="run `bin/yihu doctor`") from exc
        if done.returncode != 0 or not wav.is_file():
            reason = done.stderr.decode(errors="replace").strip()[-300:]
            raise Unavailable(f"espeak-ng failed: {reason}", id="no-voice", fix="run `bin/yihu doctor`")
        return audio.read(wav)
