"""From any speech to a telephone prompt: mono, trimmed, equally loud, never clipped, in two rates."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from core.errors import Invalid

Samples = NDArray[np.float64]

RATES = {".wav": 8000, ".wav16": 16000}  # extension, as Asterisk names the format → samples a second
LEVEL = -20.0  # dBFS, RMS of the speaking parts
PEAK = -3.0  # dBFS, never exceeded
PADDING = 0.05  # seconds of silence kept at both ends, so that no first consonant is cut off
LONGEST = 120.0  # seconds
_FRAME = 0.02  # seconds


@dataclass(frozen=True)
class Measure:
    """What can be said about audio without ears."""

    seconds: float
    level: float  # dBFS RMS of the speaking parts
    peak: float  # dBFS
    speaking: float  # share of the length that is no pause, 0 to 1


def decibels(value: float) -> float:
    return 20 * float(np.log10(max(value, 1e-9)))


def read(path: Path) -> tuple[Samples, int]:
    """Any file that libsndfile reads, as mono. Raises Invalid."""
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate = int(file.samplerate)
            if not 0 < file.frames <= LONGEST * rate:
                raise Invalid(f"{path.name}: empty, or longer than {LONGEST:.0f} s", id="bad-recording")
            samples = file.read(dtype="float64", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError, OSError) as exc:
        raise Invalid(f"{path.name}: no audio file: {exc}", id="bad-recording", fix="use WAV, FLAC or Ogg") from None
    mono: Samples = np.nan_to_num(samples.mean(axis=1))
    return mono, rate


def measure(samples: Samples, rate: int) -> Measure:
    frames = _frame_levels(samples, rate)
    speaking = _speaking(frames)
    level = float(np.sqrt(np.mean(frames[speaking] ** 2))) if speaking.any() else 0.0
    peak = float(np.max(np.abs(samples))) if len(samples) else 0.0
    return Measure(len(samples) / rate, decibels(level), decibels(peak), float(speaking.mean()) if len(frames) else 0.0)


def telephone(samples: Samples, rate: int, target_rate: int, level: float = LEVEL, peak: float = PEAK) -> Samples:
    """Trim, resample and bring to ``level`` with no sample above ``peak`` (dBFS). Raises Invalid for silence."""
    trimmed = trim(_without_rumble(samples, rate), rate)
    result: Samples = soxr.resample(trimmed, rate, target_rate, quality="HQ") if rate != target_rate else trimmed
    # Limiting takes a little loudness away, so level and limit are applied twice.
    for _ in range(2):
        result = result * 10 ** ((level - measure(result, target_rate).level) / 20)
        result = _limit(result, target_rate, 10 ** (peak / 20))
    return result


def trim(samples: Samples, rate: int) -> Samples:
    """Without the silence at both ends, except for a short padding. Raises Invalid when there is nothing else."""
    frames = _frame_levels(samples, rate)
    loud = np.flatnonzero(frames > max(float(frames.max(initial=0.0)) * 10 ** (-40 / 20), 1e-4))
    if not len(loud):
        raise Invalid("nothing but silence", id="bad-recording", fix="record it again")
    size, padding = max(1, int(_FRAME * rate)), int(PADDING * rate)
    first, last = int(loud[0]) * size, (int(loud[-1]) + 1) * size
    kept = samples[max(0, first - padding) : last + padding]
    missing = (max(0, padding - first), max(0, last + padding - len(samples)))
    return np.pad(kept, missing)


def tone(hertz: float, seconds: float, rate: int) -> Samples:
    """A soft-edged sine tone at full scale."""
    time = np.arange(int(seconds * rate)) / rate
    edge = np.clip(np.minimum(time, time[-1] - time) / 0.01, 0, 1)
    wave: Samples = np.sin(2 * np.pi * hertz * time) * edge
    return wave


def silence(seconds: float, rate: int) -> Samples:
    return np.zeros(int(seconds * rate))


def write(path: Path, samples: Samples, rate: int) -> None:
    """16-bit WAV, whole or not at all."""
    with replacing(path) as draft:
        soundfile.write(str(draft), samples, rate, format="WAV", subtype="PCM_16")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A draft beside ``path`` that takes its place when the block ends well: readers never see half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.parent / f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}"
    try:
        yield draft
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _frame_levels(samples: Samples, rate: int) -> Samples:
    size = max(1, int(_FRAME * rate))
    count = len(samples) // size
    frames = samples[: count * size].reshape(count, size)
    levels: Samples = np.sqrt(np.mean(frames**2, axis=1)) if count else np.zeros(0)
    return levels


def _speaking(frames: Samples) -> NDArray[np.bool_]:
    """Frames within 30 dB of the loudest one: the pauses must not make a slow speaker louder."""
    if not len(frames):
        return np.zeros(0, dtype=np.bool_)
    return frames > max(float(frames.max()) * 10 ** (-30 / 20), 1e-5)


def _without_rumble(samples: Samples, rate: int) -> Samples:
    """Take away what lies below speech (offset, thumps, hum of the room): no telephone carries it, and it would take
    room from the voice. Full effect below 50 Hz, none above 120 Hz."""
    if not len(samples):
        return samples
    spectrum = np.fft.rfft(samples)
    hertz = np.fft.rfftfreq(len(samples), 1 / rate)
    kept: Samples = np.fft.irfft(spectrum * np.clip((hertz - 50) / 70, 0, 1), len(samples))
    return kept


def _limit(samples: Samples, rate: int, ceiling: float) -> Samples:
    """Turn the gain down smoothly around peaks instead of cutting them off (a look-ahead limiter)."""
    wanted = np.minimum(1.0, ceiling / np.maximum(np.abs(samples), 1e-12))
    if wanted.min(initial=1.0) >= 1.0:
        return samples
    window = max(3, int(0.004 * rate) | 1)
    half = window // 2
    # The least gain within the window, then its mean over the same window: at a peak all of them are low enough.
    least = sliding_window_view(np.pad(wanted, 2 * half, constant_values=1.0), window).min(axis=1)
    gain = np.convolve(least, np.full(window, 1 / window), mode="valid")
    return np.clip(samples * gain, -ceiling, ceiling)
