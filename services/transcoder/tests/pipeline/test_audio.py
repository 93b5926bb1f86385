"""Samples on the programme's clock, and their sum."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from odeon_transcoder.pipeline.audio_track import SampleBuffer
from odeon_transcoder.pipeline.mix import KNEE, mix, soft_limit


def _constant(value: float, count: int) -> NDArray[np.float32]:
    return np.full((2, count), value, np.float32)


def test_samples_are_read_where_they_were_written() -> None:
    buffer = SampleBuffer()
    buffer.write(1000, _constant(0.5, 960))

    assert buffer.read(0, 1000).max() == 0
    assert buffer.read(1000, 960).min() == pytest.approx(0.5)
    assert buffer.read(1960, 100).max() == 0


@given(st.lists(st.integers(-300, 300), min_size=5, max_size=40))
def test_packets_that_jitter_are_joined_without_a_seam(jitter: list[int]) -> None:
    buffer = SampleBuffer()
    for index, off in enumerate(jitter):
        start = index * 960 + (off if index else 0)
        buffer.write(start, _constant(0.5, 960))

    out = buffer.read(0, len(jitter) * 960)

    assert np.all(out == 0.5)


def test_a_gap_is_silent_and_its_end_does_not_click() -> None:
    buffer = SampleBuffer()
    buffer.write(0, _constant(0.5, 960))
    buffer.write(960 + 4800, _constant(0.5, 960))

    out = buffer.read(0, 960 * 2 + 4800)[0]

    assert out[959] == 0.5 and not out[960:5760].any()
    assert out[5760] == 0 and out[5760:5880].max() <= 0.5
    assert np.abs(np.diff(out[5700:])).max() < 0.05


def test_what_comes_too_late_is_counted_and_changes_nothing() -> None:
    buffer = SampleBuffer()
    buffer.write(0, _constant(0.1, 960))
    buffer.read(0, 4800)

    buffer.write(2400, _constant(0.9, 4800))

    assert buffer.late == 2400
    assert buffer.read(4800, 100).max() > 0


@given(st.integers(0, 10**9), st.integers(1, 5000))
def test_the_ring_wraps_anywhere(start: int, count: int) -> None:
    buffer = SampleBuffer()
    buffer.read(start, 1)
    ramp = np.tile(np.arange(count, dtype=np.float32), (2, 1))

    buffer.write(start + 10, ramp)

    assert np.array_equal(buffer.read(start + 10, count), ramp)


def test_a_single_voice_passes_untouched() -> None:
    voice = _constant(0.7, 1024)

    assert mix([voice], 1024) is voice


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=12))
def test_a_crowd_never_clips(levels: list[float]) -> None:
    mixed = mix([_constant(level, 64) for level in levels], 64)

    assert mixed.shape == (2, 64)
    assert np.abs(mixed).max() <= 1.0


def test_the_limiter_bends_smoothly_and_keeps_order() -> None:
    levels = np.linspace(0, 12, 5000, dtype=np.float32)

    bent = soft_limit(np.stack([levels, -levels]))

    assert np.all(np.diff(bent[0]) >= 0)
    assert np.array_equal(bent[0], -bent[1])
    below = levels <= KNEE
    assert np.array_equal(bent[0][below], levels[below])


def test_nobody_is_silence() -> None:
    assert not mix([], 1024).any()
