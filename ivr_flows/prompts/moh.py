"""Music on hold: a calm tune of our own, computed, so that nobody's rights are touched.

Sixteen bars of soft chords with a slow pentatonic melody above. Everything is rendered into a circle: what still
sounds at the end goes on at the beginning, so the loop has no seam. All tones lie within the telephone band (300 to
3400 Hz).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ivr_flows.prompts import audio

NAME = "calm"
VERSION = "calm-2"  # part of the name in the cache: change it with the tune
BAR = 3.0  # seconds
LEVEL = -24.0  # dBFS RMS: below speech, as it is only there to say "we are still here"
PEAK = -8.0  # dBFS

_KEY = 311.13  # hertz (E flat); steps below are semitones above it
_CHORDS = ((0, 7, 16), (9, 12, 16), (5, 12, 21), (7, 14, 19), (4, 12, 19), (9, 16, 21), (5, 9, 17), (7, 12, 17))
# One phrase a bar: (beat from 0 to 4, semitones above the key, beats it is held).
_MELODY = (
    ((0, 24, 2), (2, 28, 2)),
    ((0, 21, 3), (3, 24, 1)),
    ((0, 26, 2), (2.5, 24, 1.5)),
    ((0, 19, 4),),
    ((1, 24, 1), (2, 26, 2)),
    ((0, 28, 3), (3, 26, 1)),
    ((0, 24, 1.5), (1.5, 21, 2.5)),
    ((0, 19, 2), (2, 21, 2)),
    ((0, 28, 2), (2, 31, 2)),
    ((0, 28, 1.5), (1.5, 26, 1), (2.5, 24, 1.5)),
    ((0, 21, 4),),
    ((1, 26, 1), (2, 24, 2)),
    ((0, 19, 2), (2, 24, 2)),
    ((0, 21, 3), (3, 19, 1)),
    ((0, 24, 2), (2, 21, 2)),
    ((0, 19, 4),),
)


def tune(rate: int) -> audio.Samples:
    """The whole loop (48 s) at ``rate`` samples a second, at its final level."""
    length = int(len(_MELODY) * BAR * rate)
    circle = np.zeros(length)
    for bar in range(len(_MELODY)):
        for step in _CHORDS[bar % len(_CHORDS)]:
            _add(circle, bar * BAR, _pad(_hertz(step), BAR * 1.5, rate), 0.35, rate)
        for beat, step, beats in _MELODY[bar]:
            _add(circle, bar * BAR + beat * BAR / 4, _bell(_hertz(step), beats * BAR / 4 + 1.5, rate), 0.8, rate)
    circle *= 10 ** ((LEVEL - audio.measure(circle, rate).level) / 20)
    loudest = float(np.max(np.abs(circle)))
    return circle * min(1.0, 10 ** (PEAK / 20) / loudest)


def write(folder: Path) -> None:
    """Write the tune in every rate into ``folder``."""
    for extension, rate in audio.RATES.items():
        audio.write(folder / f"{NAME}{extension}", tune(rate), rate)


def _hertz(step: int) -> float:
    return float(_KEY * 2 ** (step / 12))


def _pad(hertz: float, seconds: float, rate: int) -> audio.Samples:
    """A soft chord tone that swells and fades (raised cosine), slightly wide by a second, detuned tone."""
    time = np.arange(int(seconds * rate)) / rate
    swell = 0.5 - 0.5 * np.cos(2 * np.pi * time / seconds)
    wave: audio.Samples = np.sin(2 * np.pi * hertz * time) + 0.6 * np.sin(2 * np.pi * hertz * 1.003 * time)
    return wave * swell


def _bell(hertz: float, seconds: float, rate: int) -> audio.Samples:
    """A soft plucked tone: two partials that die away, with an attack that does not click."""
    time = np.arange(int(seconds * rate)) / rate
    attack, release = np.clip(time / 0.03, 0, 1), np.clip((seconds - time) / 0.3, 0, 1)
    wave: audio.Samples = np.sin(2 * np.pi * hertz * time) * np.exp(-time / 0.9)
    second = 0.25 * np.sin(2 * np.pi * 2 * hertz * time) * np.exp(-time / 0.4)
    return (wave + second) * attack * release


def _add(circle: audio.Samples, start: float, sound: audio.Samples, gain: float, rate: int) -> None:
    places = (int(start * rate) + np.arange(len(sound))) % len(circle)
    np.add.at(circle, places, gain * sound)
