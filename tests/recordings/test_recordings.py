"""From captured files to stereo FLAC in the store."""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile

from core.clock import ManualClock
from core.errors import Invalid, NotFound, Unavailable
from recordings.wave import RATE, Samples, join, read_capture
from yihu.compose import Parts

CALL = "n1-1772424000.1"


def tone(hertz: float, seconds: float) -> Samples:
    t = np.arange(int(seconds * RATE)) / RATE
    return (10000 * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def write_wav(path: Path, samples: Samples, *, closed: bool = True, age: float = 10.0) -> None:
    """A WAV as Asterisk writes it; not ``closed``: the sizes in the header are still zero."""
    data = samples.astype("<i2").tobytes()
    size = len(data) if closed else 0
    head = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 16000, 2, 16)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(head + b"data" + struct.pack("<I", size) + data)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))


def _planned(parts: Parts, kind: str = "talk") -> tuple[str, Path, Path | None]:
    parts.ledger.open(CALL, "15409980001", "12345")
    with parts.db.write() as session:
        plan = parts.recordings.plan(session, CALL, kind)
    return plan.recording_id, plan.incoming, plan.outgoing


def test_two_directions_become_one_stereo_file(parts: Parts) -> None:
    recording_id, incoming, outgoing = _planned(parts)
    assert outgoing is not None
    write_wav(incoming, tone(440, 2.0))
    write_wav(outgoing, tone(1000, 1.5))
    (stored,) = parts.recordings.finish(CALL)
    path = parts.recordings.path(stored)
    samples, rate = soundfile.read(path, dtype="int16")
    assert (rate, samples.shape) == (RATE, (16000, 2))
    assert np.array_equal(samples[:, 0], tone(440, 2.0))
    assert np.array_equal(samples[:12000, 1], tone(1000, 1.5))
    assert not samples[12000:, 1].any()
    assert stored.seconds == pytest.approx(2.0)
    assert stored.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not incoming.exists()
    assert parts.recordings.get(recording_id).state == "stored"
    assert parts.recordings.finish(CALL)[0].sha256 == stored.sha256, "twice is harmless"


def test_a_file_that_asterisk_never_closed_is_read_to_its_end(tmp_path: Path) -> None:
    write_wav(tmp_path / "x.wav", tone(440, 1.0), closed=False)
    assert len(read_capture(tmp_path / "x.wav")) == RATE


def test_growing_files_are_waited_for(parts: Parts) -> None:
    _, incoming, outgoing = _planned(parts)
    assert outgoing is not None
    write_wav(incoming, tone(440, 1.0))
    write_wav(outgoing, tone(440, 1.0), age=0)
    with pytest.raises(Unavailable, match="still being written"):
        parts.recordings.finish(CALL)
    assert incoming.exists()


def test_one_direction_alone_is_kept(parts: Parts) -> None:
    _, incoming, _ = _planned(parts)
    write_wav(incoming, tone(440, 1.0))
    (stored,) = parts.recordings.finish(CALL)
    assert (stored.state, stored.channels) == ("stored", 2)


def test_what_was_never_written_is_missing_in_the_end(parts: Parts, clock: ManualClock) -> None:
    _planned(parts)
    with pytest.raises(Unavailable):
        parts.recordings.finish(CALL)
    clock.advance(61)
    (row,) = parts.recordings.finish(CALL)
    assert row.state == "missing"
    with pytest.raises(NotFound):
        parts.recordings.path(row)


def test_a_message_is_mono(parts: Parts) -> None:
    _, incoming, outgoing = _planned(parts, "message")
    assert outgoing is None
    write_wav(incoming, tone(440, 1.0))
    (stored,) = parts.recordings.finish(CALL)
    assert stored.channels == 1


def test_a_discarded_piece_leaves_nothing(parts: Parts) -> None:
    recording_id, incoming, _ = _planned(parts, "message")
    write_wav(incoming, tone(440, 0.2))
    parts.recordings.discard(recording_id)
    assert not incoming.exists()
    assert parts.recordings.of_call(CALL) == []


def test_pieces_of_a_call_have_their_own_names(parts: Parts) -> None:
    parts.ledger.open(CALL, "1", "12345")
    with parts.db.write() as session:
        ids = [parts.recordings.plan(session, CALL, "talk").recording_id for _ in range(3)]
        ids.append(parts.recordings.plan(session, CALL, "talk", suffix="net").recording_id)
        again = parts.recordings.plan(session, CALL, "talk", suffix="net").recording_id
    assert ids == [f"{CALL}-1", f"{CALL}-2", f"{CALL}-3", f"{CALL}-net"]
    assert again == ids[-1]


@pytest.mark.parametrize(
    "content",
    [b"", b"RIFF", b"x" * 100, b"RIFF\0\0\0\0WAVEfmt \x04\0\0\0\1\0\1\0", b"RIFF\0\0\0\0WAVEfmt " + b"\0" * 20],
)
def test_nonsense_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"x\.wav"):
        read_capture(path)


def test_a_header_without_samples_is_silence(tmp_path: Path) -> None:
    (tmp_path / "x.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert len(read_capture(tmp_path / "x.wav")) == 0


def test_joining_pads_the_shorter_side() -> None:
    assert join(tone(440, 0.5), tone(440, 0.0)).shape == (4000, 2)
