"""Who decides in a simulation: the operator's brain, or a model of what a cluster has without it.

The models are generous: they see the load at once and whole, queue included, and their calls cost
nothing. They keep to
what their originals do: a number on a fixed rhythm, and victims chosen without looking at sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil
from typing import Protocol

from odeon_operator.domain import behavior as pace
from odeon_operator.domain.amounts import Count, Percent
from odeon_operator.domain.behavior import Behavior, Change, Direction, Past, Rate, Recommendation
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.cold_start import ColdStarts
from odeon_operator.domain.decision import Decision, Inputs, Memory
from odeon_operator.domain.fair_share import Tenant
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.starts import Room
from odeon_operator.domain.windows import ActivePeriod, holds

from odeon_cli.scaling.trace import Trace
from odeon_cli.scaling.world import World

_HPA_SYNC = timedelta(seconds=15)
_KEDA_POLL = timedelta(seconds=30)
_HPA_TARGET = Fraction(8, 10)
"""What an HPA fills its pods to where the buffer is a number, which it cannot express."""
_HPA_TOLERANCE = Fraction(1, 10)
_TENANT = "trace"


class Scaler(Protocol):
    """Something that scales a world."""

    name: str
    reads_reports: bool
    """Whether it looks at single pods; models that do not are simulated without their reports."""

    def act(self, world: World, now: datetime, second: float) -> int:
        """Look at the world, change it, and return the wanted number of pods."""
        ...


class Brain:
    """The operator: every decision is the one that the controller would make."""

    name = "odeon"
    reads_reports = True

    def __init__(
        self, pool: Pool, policy: Policy, trace: Trace, bookings: Sequence[Booking]
    ) -> None:
        self._pool = pool
        self._policy = replace(policy, dry_run=False)
        self._trace = trace
        self._bookings = list(bookings)
        self._memory = Memory()
        self.decisions: list[Decision] = []

    def act(self, world: World, now: datetime, second: float) -> int:
        """Decide and carry it out."""
        self._bookings = [self._followed(b, second) for b in self._bookings]
        inputs = Inputs(
            now,
            tuple(world.pods.values()),
            tenants=(Tenant(_TENANT, waiting=Fraction(world.waiting)),),
            bookings=tuple(self._bookings),
            cold_starts=ColdStarts(tuple(world.cold_starts[-200:])),
            room=Room(free=max(0, self._pool.most - len(world.pods))),
        )
        plan = decide(self._pool, self._policy, inputs, self._memory)
        self._memory = plan.memory
        actions = plan.decision.actions
        world.change(actions.undrain, now, drain=False)
        world.change(actions.drain, now, drain=True)
        for uid in actions.delete:
            world.delete(uid)
        for index in actions.start:
            world.create(index, now)
        self._keep(plan.decision)
        return plan.decision.wanted

    def _followed(self, booking: Booking, second: float) -> Booking:
        units = self._trace.of_event(booking.name, second)
        if units is None:
            return booking
        metric = self._pool.targets[0].metric
        peak = booking.peak[metric] if booking.peak else Fraction(0)
        return replace(
            booking,
            actual={metric: Fraction(units)},
            peak={metric: max(peak, Fraction(units))},
        )

    def _keep(self, decision: Decision) -> None:
        """Decisions that say the same as the one before are not worth a line."""
        last = self.decisions[-1] if self.decisions else None
        if last is None or (last.wanted, last.rule) != (decision.wanted, decision.rule):
            self.decisions.append(decision)


@dataclass(slots=True)
class _Replicas:
    """What an HPA remembers."""

    wanted: int
    past: Past
    synced: datetime | None = None


class HpaModel:
    """HorizontalPodAutoscaler v2 with its defaults, over a ReplicaSet.

    Sync every 15 s, tolerance 10 %, at most the larger of 4 pods and 100 % more per 15 s, scale-in
    after 300 s. Victims are those of a ReplicaSet: not ready first, then the newest.
    """

    name = "hpa"
    reads_reports = False
    _BEHAVIOR = Behavior(
        scale_out=Direction(rates=(Rate(Count(4), _HPA_SYNC), Rate(Percent(100), _HPA_SYNC))),
        scale_in=Direction(window=timedelta(seconds=300), rates=(Rate(Percent(100), _HPA_SYNC),)),
    )

    def __init__(self, pool: Pool, policy: Policy) -> None:
        self._pool = pool
        buffer = policy.buffer
        filled = Fraction(100 - buffer.percent, 100) if isinstance(buffer, Percent) else _HPA_TARGET
        self._target = pool.targets[0].per_pod * filled
        self._state = _Replicas(pool.least, Past())

    def act(self, world: World, now: datetime, second: float) -> int:
        """Sync when it is time."""
        state = self._state
        if state.synced is None or now - state.synced >= _HPA_SYNC:
            state.synced = now
            self._sync(self._desired(world, now), now)
        self._apply(world, now)
        return state.wanted

    def _desired(self, world: World, now: datetime) -> Fraction:
        return (sum(world.sessions.values()) + world.waiting) / self._target

    def _sync(self, need: Fraction, now: datetime) -> None:
        state = self._state
        current = max(state.wanted, 1)
        if abs(need / current - 1) <= _HPA_TOLERANCE:
            need = Fraction(state.wanted)
        latest = Recommendation(now, Fraction(ceil(need)), 0)
        past = Past((*state.past.needs, latest), state.past.changes)
        settled = pace.settle(state.wanted, past, self._BEHAVIOR, now).pods
        wanted = min(self._pool.most, max(self._pool.least, settled))
        changes = (*past.changes, Change(now, wanted - state.wanted))
        state.past = pace.remembered(Past(past.needs, changes), self._BEHAVIOR, now)
        state.wanted = wanted

    def _apply(self, world: World, now: datetime) -> None:
        pods = list(world.pods.values())
        indexes = {p.index for p in pods}
        missing = self._state.wanted - len(pods)
        free = (n for n in range(len(pods) + max(0, missing) + 1) if n not in indexes)
        for _ in range(missing):
            world.create(next(free), now)
        for pod in sorted(pods, key=_replica_set_rank)[: max(0, -missing)]:
            world.delete(pod.uid)


class KedaModel(HpaModel):
    """KEDA over the same HPA: the load is polled every 30 s, cron rules are triggers."""

    name = "keda"

    def __init__(self, pool: Pool, policy: Policy) -> None:
        super().__init__(pool, policy)
        self._rules = [
            rule
            for rule in policy.rules
            if rule.replicas is not None and isinstance(rule.when, ActivePeriod)
        ]
        self._polled: tuple[datetime, Fraction] | None = None

    def _desired(self, world: World, now: datetime) -> Fraction:
        if self._polled is None or now - self._polled[0] >= _KEDA_POLL:
            self._polled = (now, super()._desired(world, now))
        crons = [Fraction(r.replicas or 0) for r in self._rules if holds(r.when, now)]
        return max([self._polled[1], *crons])


def primary(pool: Pool) -> Metric:
    """The metric that a trace's load is in."""
    return pool.targets[0].metric


def _replica_set_rank(pod: Pod) -> tuple[bool, float]:
    return (pod.state is not PodState.STARTING, -pod.created.timestamp())
