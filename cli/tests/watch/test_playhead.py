"""A player's clock."""

import pytest
from odeon_cli.watch.playhead import Playhead


def started(*, buffered: float = 1.0) -> Playhead:
    playhead = Playhead(hold_back_s=1.0)
    playhead.start(0.0, now_s=100.0)
    playhead.buffer_to(buffered, now_s=100.0)
    return playhead


def test_it_follows_the_wall_clock_while_there_is_media() -> None:
    playhead = started(buffered=1.2)

    playhead.advance(100.5)

    assert playhead.position_s == pytest.approx(0.5)
    assert not playhead.stalls


def test_it_stalls_at_the_end_of_the_buffer_and_goes_on_after_some_more() -> None:
    playhead = started(buffered=1.0)

    playhead.advance(101.5)
    assert playhead.stalled
    assert playhead.position_s == pytest.approx(1.0)
    playhead.buffer_to(1.1, now_s=101.6)
    assert playhead.stalled
    playhead.buffer_to(1.5, now_s=102.0)

    assert not playhead.stalled
    assert [round(stall.duration_s, 3) for stall in playhead.stalls] == [1.0]
    playhead.advance(102.2)
    assert playhead.position_s == pytest.approx(1.2)


def test_a_stall_that_goes_on_counts_already() -> None:
    playhead = started(buffered=1.0)

    playhead.advance(101.0)
    playhead.advance(103.0)

    assert playhead.stalled_s() == pytest.approx(2.0)


def test_it_catches_up_when_it_is_far_behind() -> None:
    playhead = started(buffered=5.0)

    playhead.advance(101.0)

    assert playhead.position_s == pytest.approx(1.1)


def test_nothing_moves_before_the_start() -> None:
    playhead = Playhead(hold_back_s=1.0)

    playhead.buffer_to(3.0, now_s=10.0)
    playhead.advance(20.0)

    assert playhead.position_s is None
    assert playhead.stalled_s() == 0
