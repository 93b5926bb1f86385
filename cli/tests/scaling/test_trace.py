from datetime import UTC, datetime

import pytest
from odeon_cli.scaling import trace
from odeon_cli.scaling.trace import Synthetic, TraceError
from odeon_operator.domain.reports import Metric


def test_a_load_holds_until_the_next_line() -> None:
    read = trace.read("time,load\n0,3\n10,7.6\n20,0\n")

    assert [read.load(s) for s in (0, 9.9, 10, 19, 20, 99)] == [3, 3, 8, 8, 0, 0]
    assert read.seconds == 20


def test_times_may_be_moments_and_events_have_columns_of_their_own() -> None:
    read = trace.read(
        "time,load,event:gala\n2026-05-04T14:00:00+08:00,5,0\n2026-05-04T06:01:00Z,9,4\n"
    )

    assert read.start == datetime(2026, 5, 4, 6, tzinfo=UTC)
    assert (read.of_event("gala", 60), read.of_event("other", 60)) == (4, None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a,b\n1,2\n", "time and load"),
        ("time,load\n0,1\n", "two lines"),
        ("time,load\n0,1\n0,1\n", "line 3: times must rise"),
        ("time,load\n0,1\n9999999,1\n", "31 days"),
        ("time,load\nnoon,1\n", "line 2: 'noon'"),
        ("time,load\n2026-05-04T06:00:00,1\n", "no time zone"),
        ("time,load\n0,x\n", "line 2: 'x' is no load"),
        ("time,load\n0,-1\n", "-1 is no load"),
        ("time,load\n0,nan\n", "nan is no load"),
        ("time,load\n0\n", "None is no load"),
        ("", "time and load"),
    ],
)
def test_a_bad_line_is_named(text: str, problem: str) -> None:
    with pytest.raises(TraceError, match=problem):
        trace.read(text)


@pytest.mark.parametrize("shape", list(Synthetic))
def test_a_seed_makes_the_same_load_again_within_its_peak_and_noise(shape: Synthetic) -> None:
    one, two, other = (
        trace.synthetic(shape, peak=200, metric=Metric.VIEWERS, seed=seed) for seed in (7, 7, 8)
    )

    assert one == two
    assert one != other
    assert max(load for _, load in one.points) >= 60
    if shape is not Synthetic.BOOKINGS:
        assert max(load for _, load in one.points) <= 220


def test_a_day_of_bookings_has_events_that_come_as_booked_and_one_that_does_not() -> None:
    day = trace.synthetic(Synthetic.BOOKINGS, peak=200, metric=Metric.VIEWERS, seed=1)

    came = {b.name: max(units for _, units in day.events[b.name]) for b in day.bookings}
    expected = {b.name: b.expected[Metric.VIEWERS] for b in day.bookings}
    assert [name for name, peak in came.items() if peak == 0] == ["event-6"]
    assert all(came[name] <= expected[name] for name in came)
