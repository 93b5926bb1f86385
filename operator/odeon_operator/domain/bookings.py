"""Booked events: which capacity is kept for them, from when, until when.

```
 expected            ┌────────────────────────────────┐
                   ⟋ │                                │
        ramp     ⟋   │ lead │ event                   │ hold
 ──────────────⟋─────┼──────┼─────────────────────────┼──────┐
                     │    start                      end     └───
```
The whole of it is wanted at `start - lead`; what the event really uses is taken off what is kept,
because it is in the load already. An event that does not come gives its capacity back after a
while.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

from odeon_operator.domain.reports import Metric


class Phase(StrEnum):
    """Where a booking stands; `status.phase` of a LiveEvent."""

    PENDING = "Pending"
    PREWARMING = "Prewarming"
    READY = "Ready"
    LIVE = "Live"
    COOLING = "Cooling"
    DONE = "Done"
    NO_SHOW = "NoShow"


@dataclass(frozen=True, slots=True)
class EventsPolicy:
    """How a policy treats bookings.

    Attributes:
        lead: how long before the start capacity is wanted; None is Auto, the learned cold start.
        safety: what the learned cold start is multiplied by.
        ramp: over how long it rises before that, so that a large event does not ask for all at
            once.
        hold_after_end: how long it is kept after the end, for the event that runs over.
        no_show_after: when an event that has not come loses its capacity; None: never.
    """

    lead: timedelta | None = None
    safety: Fraction = Fraction(3, 2)
    ramp: timedelta = timedelta(0)
    hold_after_end: timedelta = timedelta(minutes=5)
    no_show_after: timedelta | None = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Booking:
    """One booked event, as far as one pool serves it.

    Attributes:
        start, end: planned; what is kept covers `[start - lead, end + hold)`.
        expected: units by metric that the event will need.
        actual: what it uses now; None when that is not known (then all that was expected is kept).
        peak: the most that it was seen to use.
        lead: its own; None is the policy's.
        started, ended: when it really did.
        followed: somebody tells when it starts, so one that is not told to have started has not.
        cancelled: it will not happen.
        costs: slots of a job by profile, where it is not one.
        registrations: people who signed up, for predictions.
    """

    name: str
    tenant: str
    start: datetime
    end: datetime
    expected: Mapping[Metric, Fraction]
    actual: Mapping[Metric, Fraction] | None = None
    peak: Mapping[Metric, Fraction] | None = None
    lead: timedelta | None = None
    started: datetime | None = None
    ended: datetime | None = None
    followed: bool = False
    cancelled: bool = False
    registrations: int | None = None
    costs: Mapping[str, Fraction] = field(default_factory=dict)

    @property
    def came(self) -> bool | None:
        """Whether anybody was ever seen; None when nothing is known of it."""
        if self.started is not None or (self.peak is not None and any(self.peak.values())):
            return True
        if self.actual is None:
            return False if self.followed else None
        return any(self.actual.values())

    @property
    def runs(self) -> bool:
        """Whether it is told to have started and not to have ended."""
        return self.started is not None and self.ended is None and not self.cancelled


def kept_share(
    booking: Booking, policy: EventsPolicy, *, lead: timedelta, now: datetime
) -> Fraction:
    """Which share of the expected capacity is wanted at a moment, 0 to 1."""
    full_at, over_at = booking.start - lead, _over(booking, policy)
    if booking.cancelled or now >= over_at or no_show(booking, policy, now):
        return Fraction(0)
    if now >= full_at:
        return Fraction(1)
    rising = policy.ramp - (full_at - now)
    if rising <= timedelta(0):
        return Fraction(0)
    return Fraction(rising // timedelta(microseconds=1), policy.ramp // timedelta(microseconds=1))


def still_to_come(
    booking: Booking, metric: Metric, policy: EventsPolicy, *, lead: timedelta, now: datetime
) -> Fraction:
    """Units kept beyond what the event uses already (that is in the load)."""
    share = kept_share(booking, policy, lead=lead, now=now)
    wanted = booking.expected.get(metric, Fraction(0)) * share
    if _ended(booking, now) and booking.peak is not None:
        # After the end only its return matters, and it will not return larger than it was.
        wanted = min(wanted, booking.peak.get(metric, Fraction(0)))
    used = booking.actual.get(metric, Fraction(0)) if booking.actual is not None else Fraction(0)
    return max(Fraction(0), wanted - used)


def no_show(booking: Booking, policy: EventsPolicy, now: datetime) -> bool:
    """Whether the event is known not to have come in time. Unknown is not "did not come"."""
    if policy.no_show_after is None or booking.came is not False:
        return False
    return now >= booking.start + policy.no_show_after


def phase(
    booking: Booking, policy: EventsPolicy, *, lead: timedelta, now: datetime, ready: bool
) -> Phase:
    """Where a booking stands. `ready`: the pool has the capacity that is kept for it."""
    if booking.runs:
        return Phase.LIVE
    if booking.cancelled or now >= _over(booking, policy):
        return Phase.DONE
    if no_show(booking, policy, now):
        return Phase.NO_SHOW
    if _ended(booking, now):
        return Phase.COOLING
    used = booking.actual is None or any(booking.actual.values())
    if booking.came and used and not booking.followed:
        return Phase.LIVE
    if now >= begins(booking, policy, lead=lead):
        return Phase.READY if ready else Phase.PREWARMING
    return Phase.PENDING


def begins(booking: Booking, policy: EventsPolicy, *, lead: timedelta) -> datetime:
    """When the first of its capacity is wanted."""
    return booking.start - lead - policy.ramp


def asleep(
    booking: Booking, policy: EventsPolicy, *, lead: timedelta, ahead: timedelta, now: datetime
) -> Phase | None:
    """The phase of a booking that asks for nothing now and for a while; None for any other.

    Deciding is dear, and of ten thousand bookings few are of today.

    Args:
        booking: which.
        policy: how bookings are treated.
        lead: how long before the start its capacity is wanted.
        ahead: how far whoever decides looks ahead.
        now: the present.
    """
    if booking.runs:
        return None
    if booking.cancelled or now >= _over(booking, policy):
        return Phase.DONE
    if booking.came or booking.ended is not None:
        return None
    return Phase.PENDING if now + ahead < begins(booking, policy, lead=lead) else None


def _ended(booking: Booking, now: datetime) -> bool:
    return booking.ended is not None or now >= booking.end


def _over(booking: Booking, policy: EventsPolicy) -> datetime:
    return (booking.ended or booking.end) + policy.hold_after_end
