"""What the status of a LiveEvent says, made of what each pool that serves it decided."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from odeon_operator.domain.bookings import Booking, EventsPolicy, Phase, begins, kept_share
from odeon_operator.domain.cold_start import lead
from odeon_operator.domain.conditions import Condition, merged
from odeon_operator.domain.decision import Decision, Inputs
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric

_FIRST = (
    Phase.LIVE,
    Phase.PREWARMING,
    Phase.READY,
    Phase.PENDING,
    Phase.COOLING,
    Phase.NO_SHOW,
    Phase.DONE,
)
"""Of pools that differ the first of these is told: an event is ready when all of them are."""
_STEP = timedelta(seconds=10)
"""To which the time of pre-warming is told: it follows what is learned of cold starts."""
_SHORT = (
    "allocatable GPUs",
    "back-off",
    "unhealthy pods",
    "maxReplicas",
    "budget.maxReplicas",
    "budget.maxGpuHoursPerDay",
)
"""Limits that mean that pods which are wanted cannot be had."""
_WORTH_TELLING = Fraction(11, 10)


@dataclass(frozen=True, slots=True)
class Amounts:
    """Capacity in the units of both kinds of pool."""

    slots: float = 0.0
    viewers: int = 0

    def most(self, other: "Amounts") -> "Amounts":
        """The larger of each."""
        return Amounts(max(self.slots, other.slots), max(self.viewers, other.viewers))


@dataclass(frozen=True, slots=True)
class PoolView:
    """What one pool says of a booking that it serves.

    Attributes:
        prewarm: when the first of its capacity is wanted.
        kept: what of the expected is wanted now.
        short: why pods that are wanted for it cannot start; empty: they can.
    """

    phase: Phase
    prewarm: datetime
    kept: Amounts = Amounts()
    used: Amounts = Amounts()
    short: str = ""


@dataclass(frozen=True, slots=True)
class EventStatus:
    """`status` of a LiveEvent."""

    generation: int
    phase: Phase | None = None
    prewarm: datetime | None = None
    ready: datetime | None = None
    reserved: Amounts | None = None
    peak: Amounts | None = None
    conditions: tuple[Condition, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class EventSubject:
    """The LiveEvent that a status is about.

    Attributes:
        problem: why it is not admitted; empty: it is.
        reason: the same as a word.
        start: None where the spec cannot be read.
        before: the status as it stands.
    """

    generation: int
    start: datetime | None
    before: EventStatus | None = None
    problem: str = ""
    reason: str = ""


def views(pool: Pool, policy: Policy, inputs: Inputs, decision: Decision) -> Mapping[str, PoolView]:
    """What a pool says of each booking, by its name."""
    phases = dict(decision.phases)
    by = [x.by for x in decision.limits if x.who == pool.name and x.by in _SHORT]
    short = ", ".join(dict.fromkeys(by))
    found = {}
    for booking in inputs.bookings:
        early = lead(booking.lead or policy.events.lead, inputs.cold_starts, policy.events.safety)
        phase = phases[booking.name]
        found[booking.name] = PoolView(
            phase=phase,
            prewarm=_told(begins(booking, policy.events, lead=early)),
            kept=_kept(pool, booking, policy.events, early, inputs.now),
            used=_used(pool, booking),
            short=f"{pool.name} is limited by {short}"
            if short and phase is Phase.PREWARMING
            else "",
        )
    return found


def asleep_view(booking: Booking, policy: EventsPolicy, phase: Phase, early: timedelta) -> PoolView:
    """What a pool says of a booking that asks for nothing now."""
    return PoolView(phase, _told(begins(booking, policy, lead=early)))


def status(
    subject: EventSubject, seen: Collection[PoolView], now: datetime, *, known: bool
) -> EventStatus | None:
    """The status of a LiveEvent; None while not all pools were looked at since the start."""
    before = subject.before or EventStatus(0)
    if subject.problem or subject.start is None:
        found = _refused(subject, now)
        return replace(before, generation=subject.generation, conditions=found)
    if not known:
        return None
    if not seen:
        return _unserved(subject, before, now)
    phase = min((view.phase for view in seen), key=_FIRST.index)
    early = min(view.prewarm for view in seen)
    # Once pre-warming has begun both times stand, whatever is learned of cold starts since.
    ahead = before.prewarm is None or now < early
    ready = None if ahead else before.ready
    if ready is None and phase is Phase.READY:
        ready = now
    return EventStatus(
        generation=subject.generation,
        phase=phase,
        prewarm=_prewarm(before.prewarm, early, now) if ahead else before.prewarm,
        ready=ready,
        reserved=_sum(view.kept for view in seen),
        peak=_peak(before.peak, _sum(view.used for view in seen)),
        conditions=merged(before.conditions, _conditions(phase, seen, ready, now)),
    )


def _prewarm(before: datetime | None, early: datetime, now: datetime) -> datetime:
    """When pre-warming will begin; told again when it moved by a tenth of the time until then.

    Else whatever is learned of cold starts would be written to every booking of next month.
    """
    if before is not None and now < before and abs(early - before) * 10 <= early - now:
        return before
    return early


def _told(moment: datetime) -> datetime:
    """A moment, down to the step in which it is told."""
    since = moment - datetime.min.replace(tzinfo=moment.tzinfo)
    return moment - since % _STEP


def _kept(
    pool: Pool, booking: Booking, policy: EventsPolicy, early: timedelta, now: datetime
) -> Amounts:
    share = kept_share(booking, policy, lead=early, now=now)
    return _amounts(pool, {m: units * share for m, units in booking.expected.items()})


def _used(pool: Pool, booking: Booking) -> Amounts:
    return _amounts(pool, booking.actual or {})


def _amounts(pool: Pool, units: Mapping[Metric, Fraction]) -> Amounts:
    """Only what the pool carries: edges keep no slots."""
    carried = {target.metric for target in pool.targets}
    slots = units.get(Metric.ACTIVE_TRANSCODES, Fraction(0))
    viewers = units.get(Metric.VIEWERS, Fraction(0))
    return Amounts(
        round(float(slots), 2) if Metric.ACTIVE_TRANSCODES in carried else 0.0,
        ceil(viewers) if Metric.VIEWERS in carried else 0,
    )


def _sum(amounts: Iterable[Amounts]) -> Amounts:
    """Of pools that serve the same event each keeps all of it: the largest is what is meant."""
    largest = Amounts()
    for one in amounts:
        largest = largest.most(one)
    return largest


def _peak(before: Amounts | None, used: Amounts) -> Amounts | None:
    """The most that was used; an audience that grows slowly is not told of at every step."""
    if before is None:
        return used if used != Amounts() else None
    grown = used.slots > before.slots or used.viewers > before.viewers * _WORTH_TELLING
    return before.most(used) if grown else before


def _conditions(
    phase: Phase, seen: Collection[PoolView], ready: datetime | None, now: datetime
) -> tuple[Condition, ...]:
    short = "; ".join(sorted(view.short for view in seen if view.short))
    return (
        Condition("Admitted", True, "Admitted", "", now),
        _prewarmed(phase, ready, now),
        Condition("CapacityShort", bool(short), "CannotStart" if short else "Enough", short, now),
    )


def _prewarmed(phase: Phase, ready: datetime | None, now: datetime) -> Condition:
    kind, was = "PrewarmReady", phase in (Phase.LIVE, Phase.COOLING) and ready is not None
    holds = phase is Phase.READY or was
    message = "" if holds or phase is not Phase.PREWARMING else "pods are still to start"
    return Condition(kind, holds, "CapacityReady" if holds else phase.value, message, now)


def _refused(subject: EventSubject, now: datetime) -> tuple[Condition, ...]:
    before = subject.before.conditions if subject.before is not None else ()
    reason = subject.reason or "InvalidSpec"
    found = (
        Condition("Admitted", False, reason, subject.problem, now),
        Condition("PrewarmReady", False, reason, "nothing is kept for it", now),
    )
    return merged(before, found)


def _unserved(subject: EventSubject, before: EventStatus, now: datetime) -> EventStatus:
    found = (
        Condition("Admitted", True, "Admitted", "", now),
        Condition("PrewarmReady", False, "NoPool", "no pool of this namespace serves it", now),
        Condition("CapacityShort", False, "NoPool", "", now),
    )
    return EventStatus(
        subject.generation,
        peak=before.peak,
        conditions=merged(before.conditions, found),
    )
