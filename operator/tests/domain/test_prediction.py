from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import prediction
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.prediction import PastEvent, Predictive, PredictiveMode
from odeon_operator.domain.reports import Metric

VIEWERS = Metric.VIEWERS
START = datetime(2026, 5, 4, 14, tzinfo=UTC)
M = timedelta(minutes=1)
ACT = Predictive(PredictiveMode.ACT, horizon=10 * M, quantile=50, max_boost=50)
EVENT = Booking("gala", "acme", START, START + 60 * M, {}, registrations=1000)
CURVE = ((-300.0, 0.25), (0.0, 0.5), (600.0, 1.0))
PAST = tuple(PastEvent(100, peak, CURVE) for peak in (20.0, 40.0, 60.0))


def ahead(booking: Booking, now: datetime, past: tuple[PastEvent, ...] = PAST) -> Fraction:
    return prediction.forecast([booking], VIEWERS, past, ACT, now)


def test_registrations_become_viewers_by_how_many_came_to_past_events() -> None:
    assert prediction.show_rate(PAST, 50) == 0.4
    assert prediction.show_rate(PAST, 90) == 0.6
    assert prediction.expected_peak(EVENT, VIEWERS, PAST, ACT) == 400


def test_without_a_past_only_what_was_booked_is_expected() -> None:
    assert prediction.expected_peak(EVENT, VIEWERS, (), ACT) == 0
    booked = replace(EVENT, expected={VIEWERS: Fraction(70)})
    assert prediction.expected_peak(booked, VIEWERS, (), ACT) == 70


def test_the_forecast_follows_the_curve_of_past_events_at_the_horizon() -> None:
    assert ahead(EVENT, START - 20 * M) == 0
    assert ahead(EVENT, START - 12 * M) == 100
    assert ahead(EVENT, START - 10 * M) == 200
    assert ahead(EVENT, START) == 400


def test_who_is_there_already_is_not_forecast_again() -> None:
    assert ahead(replace(EVENT, actual={VIEWERS: Fraction(390)}), START) == 10


def test_events_that_end_before_the_horizon_need_nothing() -> None:
    assert ahead(EVENT, START + 50 * M) == 0
    assert ahead(replace(EVENT, cancelled=True), START) == 0
    assert ahead(replace(EVENT, ended=START), START) == 0


@given(st.integers(0, 500), st.integers(0, 5000), st.integers(0, 300))
def test_a_prediction_adds_within_its_boost_and_never_takes(
    reactive: int, predicted: int, boost: int
) -> None:
    pods = prediction.boosted(reactive, predicted, replace(ACT, max_boost=boost))

    assert reactive <= pods <= max(reactive, 1) * (100 + boost) / 100
