"""From RTP time to slots."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odeon_transcoder.domain.timeline_clock import (
    STEP_PATIENCE_S,
    ParticipantClock,
    ProgrammeClock,
    Slotter,
)

VIDEO, AUDIO = 90_000, 48_000


@given(
    rate=st.sampled_from([15, 30, 60]),
    start=st.floats(0, 1e6),
    jitter=st.floats(0, 0.45),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=60)
def test_a_constant_rate_never_skips_or_doubles_a_slot(
    rate: int, start: float, jitter: float, seed: int
) -> None:
    slotter, noise = Slotter(rate), random.Random(seed)

    slots = [
        slotter.slot((n + (noise.random() - 0.5) * jitter + 0.25) / rate + start)
        for n in range(400)
    ]

    assert slots == list(range(slots[0], slots[0] + 400))


@given(st.floats(-200e-6, 200e-6))
@settings(max_examples=20)
def test_a_drifting_clock_slips_one_slot_at_a_time(drift: float) -> None:
    slotter = Slotter(30)

    slots = [slotter.slot(n / 30 * (1 + drift)) for n in range(30_000)]

    steps = {b - a for a, b in itertools.pairwise(slots)}
    assert steps <= {0, 1, 2}
    slips = sum(b - a != 1 for a, b in itertools.pairwise(slots))
    assert slips <= abs(drift) * 30_000 + 1


def test_half_the_rate_fills_every_other_slot() -> None:
    slotter = Slotter(30)

    assert [slotter.slot(n / 15) for n in range(5)] == [0, 2, 4, 6, 8]


def _place(
    clock: ParticipantClock, track: str, rtp: int, *, position: float, rate: int = 30
) -> float:
    video = track.startswith("v")
    return clock.programme_time(
        track,
        rtp,
        clock_rate=VIDEO if video else AUDIO,
        video=video,
        position_s=position,
        frame_rate=30,
    )


def test_the_leading_video_falls_exactly_onto_the_grid() -> None:
    clock = ParticipantClock()

    first = _place(clock, "v", 12_345, position=0.512)

    assert first * 30 == pytest.approx(round(first * 30))
    assert 0.512 <= first < 0.512 + 1 / 30
    assert _place(clock, "v", 12_345 + 3000, position=0.55) == pytest.approx(first + 1 / 30)


def test_sound_follows_the_picture_by_sender_reports_whatever_its_arrival() -> None:
    clock = ParticipantClock()
    clock.report("v", VIDEO, 900_000, 1000.0)
    clock.report("a", AUDIO, 48_000, 1000.5)

    picture = _place(clock, "v", 900_000 + VIDEO, position=3.0)
    sound = _place(clock, "a", 48_000 + AUDIO, position=3.7)

    assert sound - picture == pytest.approx(0.5)


def test_sound_that_came_first_joins_the_picture() -> None:
    clock = ParticipantClock()
    clock.report("a", AUDIO, 0, 1000.0)
    before = _place(clock, "a", 0, position=1.0)
    clock.report("v", VIDEO, 0, 1000.0)

    picture = _place(clock, "v", 0, position=1.2)

    assert before == pytest.approx(1.0)
    assert _place(clock, "a", 0, position=1.2) == pytest.approx(picture)


def test_small_corrections_are_followed() -> None:
    clock = _synced()

    clock.report("a", AUDIO, 0, 1000.04)
    clock.resync(5.0)

    assert _offset(clock) == pytest.approx(0.04)


def test_a_stepped_wall_clock_is_ignored_until_both_tracks_tell_of_it() -> None:
    clock = _synced()

    clock.report("a", AUDIO, 0, 700.0)
    clock.resync(5.0)
    assert _offset(clock) == pytest.approx(0.0)

    clock.report("v", VIDEO, 0, 700.0)
    clock.resync(6.0)
    clock.resync(6.0 + STEP_PATIENCE_S * 2)
    assert _offset(clock) == pytest.approx(0.0)


def test_a_step_that_stays_is_believed_in_the_end() -> None:
    clock = _synced()
    clock.report("a", AUDIO, 0, 1000.5)

    clock.resync(5.0)
    clock.resync(5.0 + STEP_PATIENCE_S - 0.1)
    assert _offset(clock) == pytest.approx(0.0)

    clock.resync(5.0 + STEP_PATIENCE_S)
    assert _offset(clock) == pytest.approx(0.5)


def test_a_source_that_is_always_late_moves_later_by_whole_slots() -> None:
    clock, programme = _synced(), ProgrammeClock(30, 0.25)
    before = _place(clock, "v", 0, position=0)

    moves = [clock.observe_slack(n / 30, -0.1, programme) for n in range(60)]

    moved = sum(moves)
    assert moved >= 0.1
    assert moved * 30 == pytest.approx(round(moved * 30))
    assert _place(clock, "v", 0, position=0) == pytest.approx(before + moved)
    assert _offset(clock) == pytest.approx(0.0)


def test_a_source_that_always_waits_moves_earlier() -> None:
    clock, programme = _synced(), ProgrammeClock(30, 0.25)

    moved = sum(clock.observe_slack(n / 30, 0.9, programme) for n in range(330))

    assert moved == pytest.approx(-0.65, abs=1 / 30)


def test_a_source_in_time_is_left_alone() -> None:
    clock, programme = _synced(), ProgrammeClock(30, 0.25)
    noise = random.Random(3)

    moves = {clock.observe_slack(n / 30, 0.2 - noise.random() * 0.3, programme) for n in range(900)}

    assert moves == {0.0}


def test_a_jump_of_rtp_time_anchors_the_track_anew_where_it_is_now() -> None:
    clock = _synced()

    after = _place(clock, "v", 3600 * VIDEO, position=7.0)

    assert after == pytest.approx(7.0, abs=1 / 30)
    assert clock.breaks == 1 and clock.leader == "v"
    assert _place(clock, "v", 3600 * VIDEO + 3000, position=7.1) == pytest.approx(after + 1 / 30)


def test_sound_that_jumped_joins_the_picture_again_with_its_next_report() -> None:
    clock = _synced()

    clock.void_report("a")
    _place(clock, "a", 3600 * AUDIO, position=0.3)
    clock.report("a", AUDIO, 3600 * AUDIO, 1000.0)
    clock.resync(1.0)

    moved = _place(clock, "a", 3600 * AUDIO, position=0.0) - _place(clock, "v", 0, position=0.0)
    assert clock.breaks == 1 and moved == pytest.approx(0.0)


def test_the_programme_starts_once_and_only_when_armed() -> None:
    clock = ProgrammeClock(30, 0.25)
    assert not clock.start_if_armed(5.0)

    clock.arm(15)

    assert clock.start_if_armed(7.0) and clock.start_if_armed(8.0)
    assert clock.zero_s == 7.0
    assert clock.deadline(clock.slot_time(30)) == pytest.approx(7.0 + 2.0 + 0.25)


def _synced() -> ParticipantClock:
    clock = ParticipantClock()
    clock.report("v", VIDEO, 0, 1000.0)
    clock.report("a", AUDIO, 0, 1000.0)
    _place(clock, "v", 0, position=0.0)
    _place(clock, "a", 0, position=0.0)
    return clock


def _offset(clock: ParticipantClock) -> float:
    return _place(clock, "a", 0, position=0) - _place(clock, "v", 0, position=0)
