"""What bookings will probably need, from registrations and from how past events went.

A prediction only ever adds pods, at most `max_boost` percent, and only when the policy says `Act`;
with `Advise` it is written into the decision and nothing else.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import ceil, floor

from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.reports import Metric


class PredictiveMode(StrEnum):
    """What a prediction may do."""

    OFF = "Off"
    ADVISE = "Advise"
    ACT = "Act"


@dataclass(frozen=True, slots=True)
class Predictive:
    """How a policy predicts.

    Attributes:
        horizon: how far ahead it looks; a cold start at least, or the answer comes too late.
        quantile: which of the past events to plan for, percent: 90 is "as large as nine in ten".
        max_boost: how much a prediction may add to what is wanted without it, percent.
    """

    mode: PredictiveMode = PredictiveMode.OFF
    horizon: timedelta = timedelta(minutes=15)
    quantile: int = 90
    max_boost: int = 100


@dataclass(frozen=True, slots=True)
class PastEvent:
    """How an event went.

    Attributes:
        registrations: people who had signed up.
        peak: the most units it used.
        curve: (seconds since start, share of the peak) in order of time; early comers have negative
            seconds. Between two points the earlier one holds.
    """

    registrations: int
    peak: float
    curve: tuple[tuple[float, float], ...] = ()

    def share(self, offset_s: float) -> float:
        """Share of the peak in use so long after the start."""
        if not self.curve:
            return 1.0 if offset_s >= 0 else 0.0
        place = bisect_right([at for at, _ in self.curve], offset_s)
        return self.curve[place - 1][1] if place else 0.0


def show_rate(past: Sequence[PastEvent], quantile: int) -> float | None:
    """Units at the peak per registration; None without a past event that had registrations."""
    return _quantile([e.peak / e.registrations for e in past if e.registrations > 0], quantile)


def expected_peak(
    booking: Booking, metric: Metric, past: Sequence[PastEvent], policy: Predictive
) -> Fraction:
    """What was booked, or what its registrations promise if that is more."""
    booked = booking.expected.get(metric, Fraction(0))
    rate = show_rate(past, policy.quantile)
    if booking.registrations is None or rate is None:
        return booked
    return max(booked, Fraction(booking.registrations * rate))


def forecast(
    bookings: Sequence[Booking],
    metric: Metric,
    past: Sequence[PastEvent],
    policy: Predictive,
    now: datetime,
) -> Fraction:
    """Units that bookings will need at the horizon beyond what they use now."""
    at = now + policy.horizon
    total = Fraction(0)
    for booking in bookings:
        if booking.cancelled or booking.ended is not None or booking.end <= at:
            continue
        offset_s = (at - booking.start).total_seconds()
        plain = 1.0 if offset_s >= 0 else 0.0
        share = _quantile([e.share(offset_s) for e in past], policy.quantile)
        wanted = expected_peak(booking, metric, past, policy) * Fraction(
            share if share is not None else plain
        )
        used = booking.actual.get(metric, Fraction(0)) if booking.actual else Fraction(0)
        total += max(Fraction(0), wanted - used)
    return total


def boosted(reactive: int, predicted: int, policy: Predictive) -> int:
    """What a prediction makes of the number wanted without it."""
    most = floor(max(reactive, 1) * Fraction(100 + policy.max_boost, 100))
    return max(reactive, min(predicted, most))


def _quantile(values: Sequence[float], percent: int) -> float | None:
    if not values:
        return None
    ranked = sorted(values)
    return ranked[max(0, ceil(Fraction(percent * len(ranked), 100)) - 1)]
