"""Capture times of senders with good and bad clocks."""

from odeon_transcoder.domain.capture import CaptureClock


def test_a_sender_with_the_right_time_is_believed_however_late_its_frames_are() -> None:
    clock = CaptureClock()

    assert clock.captured_s(1000.0, 1000.1) == 1000.0
    assert clock.captured_s(1001.0, 1003.5) == 1001.0


def test_frames_of_a_sender_that_said_nothing_yet_count_from_their_arrival() -> None:
    assert CaptureClock().captured_s(None, 1000.1) == 1000.1


def test_a_wrong_clock_is_set_right_by_its_fastest_frame() -> None:
    for off_s in (-3600.0, -20.0, 20.0, 86_400.0):
        clock = CaptureClock()

        first = clock.captured_s(1000.0 + off_s, 1000.3)
        fast = clock.captured_s(1001.0 + off_s, 1001.05)
        late = clock.captured_s(1002.0 + off_s, 1003.5)

        assert round(first, 6) == 1000.3
        assert round(fast, 6) == 1001.05
        assert round(late, 6) == 1002.05


def test_a_clock_that_is_set_is_followed() -> None:
    clock = CaptureClock()

    assert round(clock.captured_s(980.0, 1000.1), 6) == 1000.1
    assert clock.captured_s(1001.0, 1001.1) == 1001.0
    assert clock.captured_s(1002.0, 1002.9) == 1002.0
