"""Finds the beeps of the test card in decoded samples."""

import numpy as np
from numpy.typing import NDArray

from odeon_testkit.testcard import layout

_WINDOW_S = 0.004
"""Four periods of the tone: a centred window crosses half height exactly at the onset."""
_MIN_AMPLITUDE = 0.05
_QUIET_S = 0.3


def beep_onsets(samples: NDArray[np.floating], sample_rate: int) -> list[float]:
    """Seconds from the first sample to the start of each beep.

    `samples` is mono, between -1 and 1. The tone is found by demodulating at its frequency, so
    speech or noise of the same loudness does not count. A beep that sounds from the first sample
    on is left out, because its start was not seen.
    """
    time = np.arange(len(samples)) / sample_rate
    carrier = np.exp(-2j * np.pi * layout.BEEP_HZ * time)
    window = max(1, round(_WINDOW_S * sample_rate))
    level = 2 * np.abs(np.convolve(samples * carrier, np.ones(window) / window, mode="same"))
    peak = float(level.max(initial=0.0))
    if peak < _MIN_AMPLITUDE:
        return []
    loud = level > peak / 2
    rising = np.flatnonzero(loud[1:] & ~loud[:-1]) + 1
    onsets: list[float] = []
    for index in rising.tolist():
        quiet_from = max(0, index - round(_QUIET_S * sample_rate))
        if not loud[quiet_from:index].any():
            onsets.append(index / sample_rate)
    return onsets
