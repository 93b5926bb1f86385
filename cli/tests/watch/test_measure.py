"""Numbers of a playback."""

import math

import pytest
from odeon_cli.watch.measure import Bitrate, FrameCounter, Latencies, percentile


def counted(*counters: int | None) -> FrameCounter:
    counter = FrameCounter()
    for value in counters:
        counter.add(value)
    counter.settle()
    return counter


def test_every_frame_once_is_nothing_missing() -> None:
    counter = counted(*range(100))

    assert (counter.frames, counter.missing, counter.repeated) == (100, 0, 0)


def test_holes_and_repetitions_are_counted() -> None:
    counter = counted(1, 2, 3, 3, 4, 8, 9, 10)

    assert (counter.missing, counter.repeated) == (3, 1)


def test_a_rendition_at_half_the_rate_misses_nothing() -> None:
    assert counted(*range(0, 100, 2)).missing == 0
    assert counted(*range(0, 20, 2), 22, 24, 28, 30).missing == 2


def test_the_counter_wraps() -> None:
    assert counted(2**24 - 2, 2**24 - 1, 0, 1).missing == 0


def test_frames_without_a_card_are_frames() -> None:
    assert counted(None, None, 7, 8).frames == 4


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.5, 50), (0.95, 95), (1.0, 100)])
def test_percentiles_are_nearest_ranks(share: float, expected: int) -> None:
    assert percentile([float(n) for n in range(1, 101)], share) == expected


def test_no_samples_have_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))
    assert Latencies().percentile(0.5) is None


def test_the_bit_rate_is_of_the_last_seconds() -> None:
    bitrate = Bitrate()
    for second in range(20):
        bitrate.add(float(second), 125_000)

    assert bitrate.bps(19.5) == pytest.approx(1_000_000, rel=0.15)
    assert bitrate.bps(100.0) == 0
