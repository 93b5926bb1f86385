import pytest
from odeon_loadtest.scenarios.overload import shown_latencies


def test_a_picture_that_stands_still_gets_older() -> None:
    samples = [(1000.0, 300.0), (1100.0, 300.0)]

    shown = shown_latencies(samples, 1100, 1500)

    assert shown == pytest.approx([300, 400, 500, 600])


def test_what_was_shown_before_the_first_sample_is_unknown() -> None:
    assert shown_latencies([(1000.0, 300.0)], 800, 1101) == pytest.approx([300, 400])
