from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.errors import Invalid
from ivr_flows.prompts import audio


def speechlike(seconds: float, rate: int, loudness: float, *, spiky: bool = False) -> audio.Samples:
    """Syllables of noise with pauses, so that level and trimming have something to do."""
    random = np.random.default_rng(7)
    time = np.arange(int(seconds * rate)) / rate
    wave: audio.Samples = random.normal(size=len(time)) * (np.sin(2 * np.pi * 2 * time) > -0.3) * loudness
    if spiky:
        wave[:: rate // 5] *= 25
    return np.concatenate([np.zeros(rate), wave, np.zeros(rate // 2)])


@pytest.mark.parametrize("target", [8000, 16000])
@pytest.mark.parametrize("rate", [8000, 22050, 48000])
@pytest.mark.parametrize("loudness", [0.001, 0.05, 0.9])
@pytest.mark.parametrize("spiky", [False, True])
def test_any_speech_becomes_equally_loud_and_never_clips(target: int, rate: int, loudness: float, spiky: bool) -> None:
    ready = audio.telephone(speechlike(3, rate, loudness, spiky=spiky), rate, target)
    measured = audio.measure(ready, target)
    assert measured.level == pytest.approx(audio.LEVEL, abs=1.0)
    assert measured.peak <= audio.PEAK + 0.01
    assert 2.9 < measured.seconds < 3.0 + 2 * audio.PADDING + 0.1  # a second and a half of silence is gone


def test_pauses_do_not_make_a_slow_speaker_louder() -> None:
    rate = 8000
    word = audio.tone(500, 1.0, rate) * 0.1
    slow = audio.telephone(np.concatenate([word, np.zeros(9 * rate), word]), rate, rate)
    quick = audio.telephone(np.concatenate([word, word]), rate, rate)
    assert np.std(slow[:rate]) == pytest.approx(np.std(quick[:rate]), rel=0.1)


def test_rumble_and_offset_are_taken_away() -> None:
    rate = 16000
    word = audio.tone(500, 2.0, rate) * 0.1
    noisy = word + 0.3 + audio.tone(25, 2.0, rate) * 0.4
    assert np.allclose(
        audio.telephone(noisy, rate, rate)[rate // 2 : rate],
        audio.telephone(word, rate, rate)[rate // 2 : rate],
        atol=0.01,
    )


def test_limiting_leaves_what_is_not_too_loud_alone() -> None:
    samples = speechlike(1, 8000, 0.05)
    assert np.array_equal(audio._limit(samples, 8000, 1.0), samples)


@pytest.mark.parametrize("samples", [np.zeros(8000), np.full(8000, 0.3), np.zeros(0)])
def test_silence_is_refused(samples: audio.Samples) -> None:
    with pytest.raises(Invalid):
        audio.telephone(samples, 8000, 8000)


def test_reads_what_people_record(tmp_path: Path) -> None:
    stereo = np.column_stack([np.full(800, 0.2), np.full(800, 0.4)])
    for ending in ("wav", "flac", "ogg"):
        path = tmp_path / f"a.{ending}"
        soundfile.write(str(path), stereo, 16000)
        samples, rate = audio.read(path)
        assert (rate, samples.ndim) == (16000, 1)
        assert float(np.median(samples)) == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"not audio at all" * 50])
def test_what_is_no_audio_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"a\.wav"):
        audio.read(path)


def test_files_appear_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "zh" / "a.wav16"
    audio.write(path, np.zeros(160), 16000)
    info = soundfile.info(str(path))
    assert (info.samplerate, info.channels, info.subtype, info.format) == (16000, 1, "PCM_16", "WAV")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="dtype"):
        audio.write(path, np.array(["no", "sound"]), 16000)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == ["a.wav16"]
