"""Which renditions an event gets."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_transcoder.domain.ladder import (
    AUDIO_PEAK_FACTOR,
    FRAMES_PER_PART,
    PROFILES,
    VIDEO_PEAK_FACTOR,
    Ladder,
    Profile,
    Rung,
    Size,
    TrackSpec,
    fit,
    profile_named,
    written_by,
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


@given(st.sampled_from(list(PROFILES.values())), st.none() | sizes, st.none() | st.floats(1, 120))
def test_a_ladder_is_known_again_by_what_the_recorder_was_told(
    profile: Profile, source: Size | None, rate: float | None
) -> None:
    ladder = fit(profile, source, rate)

    again = written_by([*reversed(told(ladder))])

    assert again is not None
    assert [(rung.size, rung.bitrate_bps) for rung in again.rungs] == [
        (rung.size, rung.bitrate_bps) for rung in ladder.rungs
    ]
    assert (again.audio, again.frame_rate) == (ladder.audio, ladder.frame_rate)
    assert {rung.codec for rung in again.rungs} == {"avc1.64001f"}


def test_renditions_that_no_transcoder_wrote_are_not_gone_on_with() -> None:
    video, *others, audio = told(fit(profile_named("default"), None, None))

    assert written_by([]) is None
    assert written_by([video, *others]) is None, "no sound"
    assert written_by([audio]) is None
    assert written_by([replace(video, track="main"), audio]) is None
    assert written_by([replace(video, frame_rate=25.0), audio]) is None
    assert written_by([video, *(replace(v, frame_rate=15.0) for v in others), audio]) is None


def told(ladder: Ladder) -> list[TrackSpec]:
    """What encoders of a ladder announce."""
    video = [
        TrackSpec(
            rung.track, "video", "avc1.64001f", round(rung.bitrate_bps * VIDEO_PEAK_FACTOR),
            rung.size.width, rung.size.height, float(ladder.frame_rate), 0.334, 2,
        )
        for rung in ladder.rungs
    ]  # fmt: skip
    bandwidth = round(ladder.audio.bitrate_bps * AUDIO_PEAK_FACTOR)
    audio = TrackSpec(ladder.audio.track, "audio", "mp4a.40.2", bandwidth, 0, 0, 0.0, 0.342, 2)
    return [*video, audio]


def test_an_unknown_profile_still_runs_the_event() -> None:
    assert profile_named("no-such") is PROFILES["default"]


def test_a_profile_of_one_rung_keeps_it_for_any_source() -> None:
    ladder = fit(profile_named("single"), Size(320, 180), 30.0)

    assert ladder.rungs == (Rung(Size(1280, 720), 2_800_000),)
