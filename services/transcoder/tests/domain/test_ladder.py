"""Which renditions an event gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_transcoder.domain.ladder import (
    FRAMES_PER_PART,
    PROFILES,
    Profile,
    Rung,
    Size,
    fit,
    profile_named,
)

sizes = st.builds(
    Size, st.integers(16, 1000).map(lambda v: v * 4), st.integers(16, 600).map(lambda v: v * 4)
)


@given(st.sampled_from(list(PROFILES.values())), sizes, st.none() | st.floats(1, 120))
def test_nothing_is_upscaled_but_an_only_rung(
    profile: Profile, source: Size, rate: float | None
) -> None:
    ladder = fit(profile, source, rate)

    assert ladder.rungs
    if len(ladder.rungs) > 1:
        assert all(rung.size.height <= source.height for rung in ladder.rungs)
    heights = [rung.size.height for rung in ladder.rungs]
    assert heights == sorted(set(heights), reverse=True)


@given(st.sampled_from(list(PROFILES.values())), sizes, st.none() | st.floats(1, 120))
def test_a_part_is_always_a_whole_number_of_frames(
    profile: Profile, source: Size, rate: float | None
) -> None:
    ladder = fit(profile, source, rate)

    assert ladder.frame_rate in FRAMES_PER_PART
    assert ladder.frames_per_part * 3 == ladder.frame_rate
    assert ladder.frame_rate <= profile.max_frame_rate
    assert all(r.size.width % 2 == 0 and r.size.height % 2 == 0 for r in ladder.rungs)


def test_a_full_size_source_gets_the_whole_profile() -> None:
    ladder = fit(profile_named("default"), Size(1280, 720), 30.0)

    assert [rung.track for rung in ladder.rungs] == ["v720", "v480", "v240"]
    assert ladder.audio.track == "a128"


def test_a_small_source_is_its_own_top_rung_with_bits_between_its_neighbours() -> None:
    ladder = fit(profile_named("default"), Size(640, 360), 15.0)

    assert [rung.track for rung in ladder.rungs] == ["v360", "v240"]
    assert 400_000 < ladder.rungs[0].bitrate_bps < 1_200_000


def test_an_upright_phone_is_measured_by_the_lines_that_fit_the_canvas() -> None:
    ladder = fit(profile_named("default"), Size(720, 1280), 30.0)

    assert max(rung.size.height for rung in ladder.rungs) <= 720 * 9 / 16


@pytest.mark.parametrize(
    ("measured", "chosen"),
    [(15.0, 15), (15.4, 15), (20.0, 30), (29.97, 30), (60.0, 30), (None, 30)],
)
def test_the_frame_rate_is_the_lowest_that_loses_no_frame(
    measured: float | None, chosen: int
) -> None:
    assert fit(profile_named("default"), Size(1280, 720), measured).frame_rate == chosen


def test_an_unknown_profile_still_runs_the_event() -> None:
    assert profile_named("no-such") is PROFILES["default"]


def test_a_profile_of_one_rung_keeps_it_for_any_source() -> None:
    ladder = fit(profile_named("single"), Size(320, 180), 30.0)

    assert ladder.rungs == (Rung(Size(1280, 720), 2_800_000),)
