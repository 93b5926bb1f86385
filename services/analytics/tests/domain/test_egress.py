"""Totals of edges that restart."""

from odeon_analytics.domain.egress import Counter, counted

START = Counter(edge="e1", tenant="acme", event="gala")


def test_a_growing_total_is_one_run() -> None:
    counter = counted(counted(START, 100, 1), 250, 2)

    assert (counter.run, counter.bytes_total, counter.at_us) == (0, 250, 2)


def test_a_smaller_total_is_a_new_run() -> None:
    counter = counted(counted(START, 100, 1), 30, 2)

    assert (counter.run, counter.bytes_total) == (1, 30)


def test_an_equal_total_changes_nothing_but_the_time() -> None:
    counter = counted(counted(START, 100, 1), 100, 2)

    assert (counter.run, counter.bytes_total) == (0, 100)
