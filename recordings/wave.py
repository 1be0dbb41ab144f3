"""Reading what Asterisk captured and joining the two directions.

Asterisk writes plain 8 kHz 16-bit mono WAV and puts the sizes into the header when it closes the file. After a crash
they are missing, so the samples are taken to the end of the file whatever the header says.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from core.errors import Invalid

RATE = 8000
Samples = npt.NDArray[np.int16]


def read_capture(path: Path) -> Samples:
    """The samples of a captured file; raises Invalid if it is not 16-bit mono PCM at 8 kHz."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"WAVE":
        raise Invalid(f"{path.name} is no WAV file")
    at = 12
    while at + 8 <= len(data):
        name, size = data[at : at + 4], struct.unpack("<I", data[at + 4 : at + 8])[0]
        body = at + 8
        if name == b"fmt ":
            if len(data) < body + 8:
                raise Invalid(f"{path.name} ends within its header")
            form, channels, rate = struct.unpack("<HHI", data[body : body + 8])
            if (form, channels, rate) != (1, 1, RATE):
                raise Invalid(f"{path.name} has format {form}, {channels} channels, {rate} Hz")
        if name == b"data":
            raw = data[body : len(data) - (len(data) - body) % 2]
            return np.frombuffer(raw, dtype="<i2")
        at = body + size + size % 2
    return np.zeros(0, dtype=np.int16)


def join(left: Samples, right: Samples) -> npt.NDArray[np.int16]:
    """Stereo (frames × 2); the shorter side is filled with silence at its end."""
    frames = max(len(left), len(right))
    stereo = np.zeros((frames, 2), dtype=np.int16)
    stereo[: len(left), 0] = left
    stereo[: len(right), 1] = right
    return stereo


def write_flac(path: Path, samples: npt.NDArray[np.int16]) -> None:
    """Write a FLAC file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    soundfile.write(draft, samples, RATE, format="FLAC", subtype="PCM_16")
    draft.replace(path)
