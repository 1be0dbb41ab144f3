from __future__ import annotations

import numpy as np
import pytest

from ivr_flows.prompts import audio, moh


@pytest.mark.parametrize("rate", [8000, 16000])
def test_calm_seamless_and_neither_silent_nor_clipped(rate: int) -> None:
    tune = moh.tune(rate)
    measured = audio.measure(tune, rate)
    assert 40 <= measured.seconds <= 60
    assert measured.level == pytest.approx(moh.LEVEL, abs=1.5)
    assert measured.peak <= moh.PEAK + 0.01
    # No seam: the step from the last sample to the first is no larger than those around, and what sounds at the end
    # goes on sounding at the beginning.
    steps = np.abs(np.diff(tune))
    assert abs(tune[0] - tune[-1]) <= np.max(steps[-rate // 10 :])
    edge = rate // 100
    end, beginning = np.std(tune[-edge:]), np.std(tune[:edge])
    assert 0.5 < beginning / end < 2
    # Never a second of silence: who waits must hear that somebody is still there.
    seconds = tune[: len(tune) // rate * rate].reshape(-1, rate)
    assert np.min(np.sqrt(np.mean(seconds**2, axis=1))) > 10 ** (-45 / 20)


def test_within_the_telephone_band() -> None:
    tune = moh.tune(16000)
    power = np.abs(np.fft.rfft(tune)) ** 2
    hertz = np.fft.rfftfreq(len(tune), 1 / 16000)
    assert power[(hertz >= 290) & (hertz <= 3400)].sum() / power.sum() > 0.99
