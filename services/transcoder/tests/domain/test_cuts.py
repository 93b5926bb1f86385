"""Where parts and segments begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_transcoder.domain.cuts import (
    AAC_FRAME_SAMPLES,
    AUDIO_RATE,
    AudioCuts,
    Cut,
    VideoCuts,
    audio_start_samples,
    video_start_ticks,
)
from odeon_transcoder.domain.ladder import SEGMENT_SECONDS


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_a_video_segment_is_six_equal_parts(rate: int) -> None:
    cuts = VideoCuts(rate)

    frames = [cuts.at(slot) for slot in range(cuts.frames_per_segment)]

    assert [c.part for c in frames if c.starts_part] == [0, 1, 2, 3, 4, 5]
    assert sum(c.ends_part for c in frames) == 6
    assert frames[0].starts_segment and frames[-1].ends_segment
    assert cuts.at(cuts.frames_per_segment).segment == 1


@given(st.sampled_from([15, 30, 60]), st.integers(0, 10_000_000))
def test_every_video_frame_has_one_place_and_the_next_one_follows(rate: int, slot: int) -> None:
    _assert_follows(VideoCuts(rate).at(slot), VideoCuts(rate).at(slot + 1))


@given(st.integers(0, 10_000_000))
def test_every_audio_frame_has_one_place_and_the_next_one_follows(frame: int) -> None:
    _assert_follows(AudioCuts().at(frame), AudioCuts().at(frame + 1))


@given(st.integers(0, 100_000))
def test_an_audio_segment_ends_with_the_first_frame_past_the_videos(segment: int) -> None:
    end_samples = AudioCuts().first_frame(segment + 1) * AAC_FRAME_SAMPLES
    video_end = (segment + 1) * SEGMENT_SECONDS * AUDIO_RATE

    assert video_end <= end_samples < video_end + AAC_FRAME_SAMPLES


@given(st.integers(0, 5_000))
def test_audio_parts_have_sixteen_frames_but_the_last_of_a_segment(segment: int) -> None:
    cuts = AudioCuts()
    first, end = cuts.first_frame(segment), cuts.first_frame(segment + 1)

    lengths: list[int] = []
    for frame in range(first, end):
        cut = cuts.at(frame)
        assert cut.segment == segment
        lengths = [*lengths, 1] if cut.starts_part else [*lengths[:-1], lengths[-1] + 1]

    assert lengths[:-1] == [16] * 5 and lengths[-1] in (13, 14)


def test_decode_times_start_well_above_zero_and_continue_where_the_last_epoch_ended() -> None:
    assert video_start_ticks(0.0) == 900_000
    assert audio_start_samples(12.5) == 22.5 * AUDIO_RATE


def _assert_follows(this: Cut, following: Cut) -> None:
    assert this.ends_part == following.starts_part
    assert this.ends_segment == following.starts_segment
    if this.ends_segment:
        assert (following.segment, following.part) == (this.segment + 1, 0)
    elif this.ends_part:
        assert (following.segment, following.part) == (this.segment, this.part + 1)
    else:
        assert (following.segment, following.part) == (this.segment, this.part)
