import math

import pytest
from odeon_loadtest.scenarios.impairment import first_after, longest_gap_s

FRAMES = [(1000.0, 640), (1033.0, 640), (1066.0, 640), (1700.0, 320), (1733.0, 320), (2000.0, 640)]


def test_a_layer_is_dropped_with_its_first_narrower_frame_inside_the_window() -> None:
    assert first_after(FRAMES, 1050, 2500, lambda width: width < 640) == pytest.approx(0.65)
    assert first_after(FRAMES, 1710, 2500, lambda width: width == 640) == pytest.approx(0.29)


def test_a_layer_that_never_changes_is_unknown_and_misses_every_bar() -> None:
    assert math.isnan(first_after(FRAMES, 1050, 1690, lambda width: width < 640))
    assert math.isnan(first_after([], 0, 1000, lambda width: width < 640))


def test_a_freeze_counts_from_the_windows_begin_and_to_its_end() -> None:
    assert longest_gap_s(FRAMES, 1000, 1740) == pytest.approx(0.634)
    assert longest_gap_s(FRAMES, 1740, 4000) == pytest.approx(2.0), "nothing came any more"
    assert longest_gap_s([], 0, 3000) == pytest.approx(3.0)
