"""Sound for the test telephone: WAV files, test tones, and measuring what was heard.

Samples are mono, 16 bit, 8 kHz (what a telephone line carries), as numpy arrays of int16. Levels are dBFS: 0 is the
loudest a sample can be.
"""

from __future__ import annotations

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from core.errors import Invalid

RATE = 8000
FRAME = RATE // 50  # 20 ms, one RTP packet
SILENCE_DB = -45.0  # a frame below it counts as silence: line noise and comfort noise are below, speech is above
TONE_FRAME = RATE // 20  # 50 ms: tells apart tones 40 Hz from each other
WAV_HEADER = 44

Samples = npt.NDArray[np.int16]
NOTHING: Samples = np.zeros(0, dtype=np.int16)


@dataclass(frozen=True)
class Heard:
    """How much sound there was: ``seconds`` of frames above the limit, and their mean level (None without any)."""

    seconds: float
    rms_db: float | None


def load(path: Path) -> Samples:
    """A sound file of any rate and number of channels as telephone samples. Raises Invalid if it cannot be read."""
    try:
        sound, rate = soundfile.read(str(path), dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as exc:
        raise Invalid(f"cannot read the sound file {path}: {exc}", fix="give a WAV or FLAC file") from exc
    mono = sound.mean(axis=1)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE)
    return _pcm(mono)


def save(path: Path, samples: Samples) -> None:
    """Write a WAV file (whole or not at all)."""
    draft = path.with_name(f".{path.name}.draft")
    with wave.open(str(draft), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(samples.astype("<i2").tobytes())
    draft.replace(path)


def capture(path: Path) -> Samples:
    """What a recorder has written so far; its WAV header need not be finished. Empty when there is no file yet."""
    try:
        raw = path.read_bytes()[WAV_HEADER:]
    except FileNotFoundError:
        raw = b""
    return np.frombuffer(raw[: len(raw) // 2 * 2], dtype="<i2").astype(np.int16)


def tone(hertz: float, seconds: float, *, level_db: float = -12.0, silence_before: float = 0.0) -> Samples:
    """A sine of so many ``seconds``, after ``silence_before`` seconds of silence."""
    steps = np.arange(round(seconds * RATE)) / RATE
    wanted = 10 ** (level_db / 20) * np.sin(2 * np.pi * hertz * steps)
    return np.concatenate([np.zeros(round(silence_before * RATE), dtype=np.int16), _pcm(wanted)])


def heard(samples: Samples) -> Heard:
    """Seconds of 20 ms frames above SILENCE_DB, and the mean level of those frames."""
    power = _frames(samples, FRAME)
    power = (power**2).mean(axis=1)
    loud = power[power > 10 ** (SILENCE_DB / 10)]
    if not loud.size:
        return Heard(0.0, None)
    return Heard(round(loud.size * FRAME / RATE, 2), round(float(10 * np.log10(loud.mean())), 1))


def tone_frames(samples: Samples, hertz: float) -> npt.NDArray[np.bool_]:
    """For each 50 ms: does the tone carry most of its sound? (Goertzel's sum with a Hann window.)"""
    frames = _frames(samples, TONE_FRAME)
    window = np.hanning(TONE_FRAME)
    phases = np.exp(-2j * np.pi * hertz * np.arange(TONE_FRAME) / RATE)
    # Of a pure tone this is its whole power; of speech or another tone a small part.
    carried = 2 * np.abs(frames @ (window * phases)) ** 2 / window.sum() ** 2
    power = (frames**2).mean(axis=1)
    found: npt.NDArray[np.bool_] = (carried > 0.5 * power) & (power > 10 ** (SILENCE_DB / 10))
    return found


def tone_seconds(samples: Samples, hertz: float) -> float:
    """For how many seconds the tone was heard."""
    return round(float(tone_frames(samples, hertz).sum()) * TONE_FRAME / RATE, 2)


def tone_level_db(samples: Samples, hertz: float) -> float:
    """Level of the tone over the whole of ``samples``, whatever else is heard (dBFS; -200 for none)."""
    if not samples.size:
        return -200.0
    steps = np.arange(samples.size)
    part = np.abs(np.mean(samples / 32768.0 * np.exp(-2j * np.pi * hertz * steps / RATE)))
    return round(float(20 * np.log10(max(2**0.5 * part, 1e-10))), 1)


def onset(samples: Samples, hertz: float) -> float | None:
    """Second at which the tone begins, to about 5 ms; None when it is not there."""
    found = np.flatnonzero(tone_frames(samples, hertz))
    if not found.size:
        return None
    start = max(0, (int(found[0]) - 1) * TONE_FRAME)
    part = np.abs(samples[start : start + 3 * TONE_FRAME].astype(np.float64))
    loud = np.flatnonzero(part > 0.25 * part.max())
    return float((start + loud[0]) / RATE)


def _frames(samples: Samples, size: int) -> npt.NDArray[np.float64]:
    whole = samples[: samples.size // size * size].reshape(-1, size)
    return whole.astype(np.float64) / 32768.0


def _pcm(sound: npt.NDArray[np.float64]) -> Samples:
    return np.clip(np.round(sound * 32767.0), -32768, 32767).astype(np.int16)
