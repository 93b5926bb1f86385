"""What an event's audience adds up to."""

import pytest
from odeon_analytics.domain.audience import Delivery, Sessions, add_up, rank


def test_viewers_that_send_no_beacons_are_counted_by_the_edges() -> None:
    figures = add_up(Sessions(hls_now=3), Delivery(viewers_now=10))

    assert figures.concurrent == 10


def test_webrtc_viewers_ask_no_edge_and_come_on_top() -> None:
    figures = add_up(Sessions(hls_now=8, other_now=2), Delivery(viewers_now=8))

    assert figures.concurrent == 10


def test_the_peak_is_never_below_what_is_there_now() -> None:
    figures = add_up(Sessions(hls_now=7, peak=4), Delivery(peak_viewers=5))

    assert figures.peak == 7


def test_nothing_watched_is_no_rebuffering() -> None:
    assert add_up(Sessions(), Delivery()).rebuffer_ratio == 0


def test_ratios_are_shares_of_the_whole() -> None:
    figures = add_up(
        Sessions(watched_ms=900, stalled_ms=100, starts=10, exits_before_start=3), Delivery()
    )

    assert figures.rebuffer_ratio == pytest.approx(0.1)
    assert figures.exit_before_start_ratio == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("count", "share", "index"), [(1, 0.5, 0), (1, 0.95, 0), (100, 0.5, 49), (100, 0.95, 94)]
)
def test_percentiles_are_nearest_ranks(count: int, share: float, index: int) -> None:
    assert rank(count, share) == index
