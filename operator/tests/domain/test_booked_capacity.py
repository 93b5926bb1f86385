"""Booked capacity over simulated time: there before the start, and hardly sooner than it must."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from odeon_operator.domain import booking_status
from odeon_operator.domain.amounts import Count
from odeon_operator.domain.booking_status import EventSubject, PoolView
from odeon_operator.domain.bookings import Booking, EventsPolicy, Phase
from odeon_operator.domain.cold_start import ColdStarts
from odeon_operator.domain.decision import Inputs, Memory
from odeon_operator.domain.demand import Target
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric, Report

SLOTS = Metric.ACTIVE_TRANSCODES
POOL = Pool("main", 0, 100, (Target(SLOTS, Fraction(2)),))
POLICY = Policy(buffer=Count(0), events=EventsPolicy(hold_after_end=timedelta(0)))
START = datetime(2026, 5, 4, 14, tzinfo=UTC)
TICK = timedelta(seconds=2)
SAFETY = POLICY.events.safety


@dataclass(slots=True)
class Run:
    """What became of one booking.

    Attributes:
        ready: when each pod was ready.
        view: what the pool said of the booking at its start.
    """

    ready: list[datetime]
    view: PoolView


def simulate(booking: Booking, learned: ColdStarts, takes: Sequence[float]) -> Run:
    """From long before the start until then; each pod takes the next of the cold starts."""
    pods: dict[str, tuple[Pod, datetime]] = {}
    memory = Memory()
    early = learned.quantile(95) * float(SAFETY)
    now = booking.start - early - timedelta(seconds=60)
    while True:
        seen = tuple(_seen(pod, ready, now) for pod, ready in pods.values())
        inputs = Inputs(now=now, pods=seen, bookings=(booking,), cold_starts=learned)
        plan = decide(POOL, POLICY, inputs, memory)
        memory = plan.memory
        for index in plan.decision.actions.start:
            takes_s = takes[len(pods) % len(takes)]
            uid = f"u{len(pods)}"
            pod = Pod(f"p-{index}", uid, index, PodState.STARTING, now, node="n")
            pods[uid] = (pod, now + timedelta(seconds=takes_s))
        if now >= booking.start:
            view = booking_status.views(POOL, POLICY, inputs, plan.decision)[booking.name]
            return Run([ready for _, ready in pods.values()], view)
        now = min(now + TICK, booking.start)


def _seen(pod: Pod, ready: datetime, now: datetime) -> Pod:
    if now < ready:
        return pod
    return replace(pod, state=PodState.READY, report=Report(now))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(3, 170), min_size=5, max_size=40),
    st.lists(st.floats(0, 1), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(30, 240),
)
def test_booked_capacity_is_ready_before_the_start_and_hardly_sooner_than_planned(
    learned: list[float], shares: list[float], slots: int, minutes: int
) -> None:
    starts = ColdStarts(tuple(learned))
    p95 = starts.quantile(95)
    length = timedelta(minutes=minutes)
    booking = Booking("gala", "acme", START, START + length, {SLOTS: Fraction(slots)})

    run = simulate(booking, starts, [share * p95.total_seconds() for share in shares])

    booked = -(-slots // 2)
    assert len(run.ready) == booked
    assert max(run.ready) <= START
    assert run.view.phase is Phase.READY
    margin = p95 * float(SAFETY - 1)
    excess = sum((max(timedelta(0), START - r - margin) for r in run.ready), timedelta(0))
    assert excess <= 0.1 * booked * length


def test_the_status_says_when_capacity_was_there_and_keeps_it_while_more_is_learned() -> None:
    slow, quick = ColdStarts((60.0,) * 5), ColdStarts((20.0,) * 5)
    booking = Booking("gala", "acme", START, START + timedelta(hours=1), {SLOTS: Fraction(4)})
    view = simulate(booking, slow, [30.0]).view
    subject = EventSubject(3, START)

    first = booking_status.status(subject, [view], START, known=True)
    assert first is not None
    assert (first.phase, first.generation, first.ready) == (Phase.READY, 3, START)
    assert first.prewarm == START - timedelta(seconds=90)
    assert first.reserved is not None
    assert first.reserved.slots == 4

    learned = simulate(booking, quick, [10.0]).view
    later = START + timedelta(seconds=9)
    again = booking_status.status(
        replace(subject, before=first), [replace(learned, phase=Phase.LIVE)], later, known=True
    )
    assert again is not None
    assert (again.prewarm, again.ready) == (first.prewarm, first.ready)
