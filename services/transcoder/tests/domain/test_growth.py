"""When a source deserves a better ladder."""

from dataclasses import replace

from odeon_transcoder.domain.growth import GROW_AFTER_S, Growth
from odeon_transcoder.domain.ladder import Ladder, Size, fit, profile_named

SMALL = fit(profile_named("default"), Size(426, 240), 15.0)
LARGE = fit(profile_named("default"), Size(1280, 720), 15.0)
FASTER = replace(SMALL, frame_rate=30)


def begins(growth: Growth, better: Ladder | None, *, from_s: float, for_s: float) -> float | None:
    """When a source that offers this all the time gets its ladder; None when it does not."""
    for tick in range(round(for_s * 4) + 1):
        if growth.observe(from_s + tick / 4, better):
            return from_s + tick / 4
    return None


def test_a_source_that_stays_larger_gets_its_ladder_after_a_while() -> None:
    assert begins(Growth(SMALL), LARGE, from_s=10.0, for_s=20) == 10.0 + GROW_AFTER_S
    assert begins(Growth(SMALL), FASTER, from_s=10.0, for_s=20) == 10.0 + GROW_AFTER_S


def test_a_source_that_was_larger_for_a_moment_does_not() -> None:
    growth = Growth(SMALL)

    assert begins(growth, LARGE, from_s=0.0, for_s=4) is None
    assert not growth.observe(4.5, SMALL)
    assert begins(growth, LARGE, from_s=5.0, for_s=4) is None
    assert not growth.observe(9.5, None)
    assert begins(growth, LARGE, from_s=10.0, for_s=4) is None


def test_a_kept_ladder_stays_though_other_settings_would_have_given_a_better_one() -> None:
    assert begins(Growth(SMALL, kept=True), FASTER, from_s=0.0, for_s=60) is None
    assert begins(Growth(SMALL, kept=True), LARGE, from_s=0.0, for_s=60) is None


def test_under_a_kept_ladder_a_source_that_grows_later_gets_a_better_one() -> None:
    growth = Growth(SMALL, kept=True)

    assert begins(growth, FASTER, from_s=0.0, for_s=10) is None
    assert begins(growth, LARGE, from_s=11.0, for_s=20) == 11.0 + GROW_AFTER_S


def test_a_source_that_takes_its_time_is_measured_before_it_can_grow() -> None:
    growth = Growth(SMALL, kept=True)

    assert begins(growth, None, from_s=0.0, for_s=30) is None
    assert begins(growth, LARGE, from_s=31.0, for_s=60) is None
