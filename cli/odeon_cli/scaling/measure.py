"""Run a scaler over a trace and judge it."""

from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil

from odeon_operator.domain.amounts import with_buffer
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.policy import Policy, Pool

from odeon_cli.scaling.scalers import Scaler
from odeon_cli.scaling.trace import Trace
from odeon_cli.scaling.world import Conditions, World


@dataclass(frozen=True, slots=True)
class Sample:
    """One moment of a run, in units of the pool."""

    second: float
    load: int
    capacity: int
    pods: int
    wanted: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Result:
    """How a scaler did.

    Attributes:
        pod_hours: pods that existed, hours; what it cost.
        short_s: seconds in which somebody waited; `waited_s` is all waiting added up
            (unit-seconds).
        behind_s: seconds in which the capacity was below what the load of one cold start ago, with
            its buffer, asked for.
        killed: sessions cut by deleting their pod.
        turns: most changes of direction within one stabilisation window.
        booked_on_time: booked events whose capacity was ready at their start; `booked` is all of
            them.
    """

    scaler: str
    pod_hours: float
    peak_pods: int
    short_s: float
    waited_s: float
    behind_s: float
    killed: int
    turns: int
    booked: int
    booked_on_time: int
    samples: tuple[Sample, ...] = field(repr=False, default=())

    def figures(self) -> dict[str, object]:
        """Without the samples, for people and scripts."""
        return {
            name: getattr(self, name) for name in self.__dataclass_fields__ if name != "samples"
        }


def run(
    scaler: Scaler,
    trace: Trace,
    pool: Pool,
    policy: Policy,
    conditions: Conditions,
    bookings: tuple[Booking, ...],
    *,
    tick_s: float,
) -> Result:
    """Let a scaler work through a trace."""
    world = World(conditions, reports=scaler.reads_reports)
    for index in range(pool.least):
        world.create(index, trace.start - timedelta(seconds=2 * conditions.cold_start_s))
    samples = []
    second = 0.0
    while second <= trace.seconds:
        now = trace.start + timedelta(seconds=second)
        load = trace.load(second)
        world.advance(now, load, tick_s)
        capacity, waiting = world.capacity, world.waiting
        wanted = scaler.act(world, now, second)
        samples.append(Sample(second, load, capacity, len(world.pods), wanted, waiting))
        second += tick_s
    return _judged(scaler.name, tuple(samples), world, trace, pool, policy, bookings, tick_s)


def _judged(
    name: str,
    samples: tuple[Sample, ...],
    world: World,
    trace: Trace,
    pool: Pool,
    policy: Policy,
    bookings: tuple[Booking, ...],
    tick_s: float,
) -> Result:
    per_pod = world.conditions.per_pod
    # A cold start at its slowest, one tick until it is asked for and one until it is seen.
    delay = world.conditions.cold_start_s * 1.25 + 2 * tick_s
    behind = sum(
        s.capacity
        < min(pool.most * per_pod, _with_buffer(trace.load(s.second - delay), pool, policy))
        for s in samples
        if s.second >= delay
    )
    kept = [b for b in bookings if 0 < (b.start - trace.start).total_seconds() <= trace.seconds]
    return Result(
        scaler=name,
        pod_hours=round(sum(s.pods for s in samples) * tick_s / 3600, 2),
        peak_pods=max(s.pods for s in samples),
        short_s=sum(s.waiting > 0 for s in samples) * tick_s,
        waited_s=sum(s.waiting for s in samples) * tick_s,
        behind_s=behind * tick_s,
        killed=world.killed,
        turns=most_turns([s.wanted for s in samples], tick_s, policy.behavior.scale_in.window),
        booked=len(kept),
        booked_on_time=sum(_on_time(b, samples, trace, pool, per_pod) for b in kept),
        samples=samples,
    )


def most_turns(wanted: list[int], tick_s: float, window: timedelta) -> int:
    """The most changes of direction that any window of the given length holds."""
    steps = [(n * tick_s, b - a) for n, (a, b) in enumerate(pairwise(wanted), 1) if a != b]
    turns = [at for (_, one), (at, two) in pairwise(steps) if (one > 0) != (two > 0)]
    span = window.total_seconds()
    return max((sum(at <= other < at + span for other in turns) for at in turns), default=0)


def _with_buffer(load: int, pool: Pool, policy: Policy) -> int:
    per_pod = pool.targets[0].per_pod
    # Part of a pod is not asked for: what a count of pods keeps free is whole pods above the load.
    return ceil(with_buffer(load / per_pod, policy.buffer) * per_pod)


def _on_time(
    booking: Booking, samples: tuple[Sample, ...], trace: Trace, pool: Pool, per_pod: int
) -> bool:
    second = (booking.start - trace.start).total_seconds()
    last = next((s for s in reversed(samples) if s.second <= second), samples[0])
    asked = booking.expected[pool.targets[0].metric]
    others = trace.load(second) - (trace.of_event(booking.name, second) or 0)
    return last.capacity >= min(Fraction(pool.most * per_pod), others + asked)
