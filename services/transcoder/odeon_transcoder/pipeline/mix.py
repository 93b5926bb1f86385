"""Mixes voices: a sum with a limiter that bends instead of clipping."""

from collections.abc import Sequence

import numpy as np

from odeon_transcoder.pipeline.audio_track import CHANNELS, Samples

KNEE = 0.8
"""Below this level samples pass untouched, so a single voice is never changed."""


def mix(voices: Sequence[Samples], count: int) -> Samples:
    """The sum of all voices, softly limited to below full scale; shape (2, count)."""
    if not voices:
        return np.zeros((CHANNELS, count), np.float32)
    total = voices[0]
    for voice in voices[1:]:
        total = total + voice
    return soft_limit(total)


def soft_limit(samples: Samples) -> Samples:
    """Bend what is above the knee with tanh: smooth at the knee, never above 1."""
    level = np.abs(samples)
    if float(level.max(initial=0.0)) <= KNEE:
        return samples
    room = 1 - KNEE
    bent = np.sign(samples) * (KNEE + room * np.tanh((level - KNEE) / room))
    return np.where(level > KNEE, bent, samples).astype(np.float32)
