from collections.abc import Iterable

import pytest
from odeon_loadtest.pictures import STALL_S, Shown

FRAME_MS = 1000 / 30


def shown(frames: Iterable[float], seconds: float = 10) -> Shown:
    return Shown(0, seconds * 1000, tuple((at, 50.0) for at in frames))


def steady(first_ms: float, last_ms: float) -> list[float]:
    count = int((last_ms - first_ms) / FRAME_MS)
    return [first_ms + index * FRAME_MS for index in range(count)]


def test_a_player_that_goes_on_has_no_stall() -> None:
    steadily = shown(steady(10, 10_000))

    assert steadily.stalls == 0
    assert steadily.longest_gap_s < 0.1
    assert steadily.frames_per_second == pytest.approx(30, abs=0.2)


@pytest.mark.parametrize(
    ("frames", "gap_s"),
    [
        ([], 10),
        (steady(0, 6_000), 4),
        (steady(3_000, 10_000), 3),
        (steady(0, 4_000) + steady(4_500, 10_000), 0.5),
    ],
    ids=["nothing", "froze", "began late", "stood still"],
)
def test_time_without_a_frame_is_a_stall_wherever_it_lies(
    frames: list[float], gap_s: float
) -> None:
    found = shown(frames)

    assert found.stalls == 1
    assert found.longest_gap_s == pytest.approx(gap_s, abs=2 * FRAME_MS / 1000)


def test_a_few_late_frames_are_no_stall() -> None:
    late = steady(0, 4_000) + steady(4_000 + STALL_S * 1000 - 2 * FRAME_MS, 10_000)

    assert shown(late).stalls == 0


def test_a_frame_that_is_due_in_a_moment_shortens_no_gap() -> None:
    ahead = Shown(0, 1_000, ((1_008, 50.0),))

    assert ahead.longest_gap_s == pytest.approx(1.008)
