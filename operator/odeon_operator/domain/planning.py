"""The decision: from what is known now to a number of pods, which ones, and why.

```
 reports, queue ─► load ─┐
 bookings ─► booked ─────┼─► rules (max) ─► prediction ─► behaviour ─► pause ─► bounds ─► wanted
 tenants' quotas ────────┘                                                     │
                             undrain, start / drain, delete ◄── pods, room ◄──┘
```
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from math import ceil

from odeon_operator.domain import behavior as pace
from odeon_operator.domain import selection
from odeon_operator.domain.amounts import rounded_up
from odeon_operator.domain.behavior import Change, Past, Recommendation
from odeon_operator.domain.bookings import Phase, phase
from odeon_operator.domain.cold_start import lead
from odeon_operator.domain.decision import FALLBACK, HOLD, Decision, Inputs, Memory, Plan
from odeon_operator.domain.demand import Certainty, Load, measure
from odeon_operator.domain.fallback import in_the_dark
from odeon_operator.domain.limits import Bounds, Limit, bounds
from odeon_operator.domain.needs import Needs, add_up
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool, ScalingMode
from odeon_operator.domain.prediction import PredictiveMode, boosted
from odeon_operator.domain.rules import Candidate
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.starts import allowed

REPLACEMENTS = Fraction(1, 4)
"""Share of the wanted pods that may stand beside unhealthy ones as their replacements: a template
that always crashes must not fill the cluster. A quarter, the default surge of a Deployment."""


@dataclass(frozen=True, slots=True)
class _Number:
    """A number of pods on its way through the words of the policy."""

    pods: int
    rule: str
    held_by: tuple[str, ...] = ()


def decide(pool: Pool, policy: Policy, inputs: Inputs, memory: Memory) -> Plan:
    """Decide for one pool. Never touches a pod with live work; doubt keeps what stands."""
    standing = sum(1 for p in inputs.pods if p.standing)
    current = memory.wanted if memory.wanted is not None else standing
    load = _load(pool, policy, inputs)
    needs = add_up(pool, policy, inputs, load)
    frame = bounds(
        least=pool.least,
        most=pool.most,
        budget=policy.budget,
        gpu_hours_today=inputs.gpu_hours_today,
        current=current,
    )
    asked = _asked(pool, policy, needs)
    memory = _noted(memory, asked, load, current, policy, inputs.now)
    number = _paced(
        pool, policy, memory, asked, load, current=current, standing=standing, now=inputs.now
    )
    number = _paused(policy, number, current)
    wanted, rule = _bounded(number, frame)
    actions, short = _actions(pool, policy, inputs, load, wanted=wanted, current=current)
    decision = Decision(
        pool=pool.name,
        at=inputs.now,
        wanted=wanted,
        previous=current,
        standing=standing,
        rule=rule,
        load=load,
        candidates=asked,
        held_by=number.held_by,
        limits=(*needs.limits, *_ceiling(pool, frame, asked), *short),
        shares=needs.shares(_most_asked(asked), frame.most),
        phases=_phases(policy, inputs, enough=_ready(inputs.pods) >= needs.promised),
        predicted=needs.predicted if policy.predictive.mode is not PredictiveMode.OFF else None,
        warnings=frame.warned,
        dry_run=policy.dry_run,
        actions=Actions() if policy.dry_run else actions,
    )
    return Plan(decision, _remember(memory, policy, wanted, current, inputs.now))


def _load(pool: Pool, policy: Policy, inputs: Inputs) -> Load:
    load = measure(
        inputs.pods,
        pool.targets,
        inputs.external,
        hands_over=pool.hands_over,
        now=inputs.now,
        stale_after=policy.stale_after,
    )
    if not inputs.queue_known and load.certainty is Certainty.KNOWN:
        return replace(load, certainty=Certainty.PARTIAL)
    return load


def _asked(pool: Pool, policy: Policy, needs: Needs) -> tuple[Candidate, ...]:
    if pool.mode is not ScalingMode.POLICY and pool.replicas is not None:
        reason = f"exactly {pool.replicas}, set by hand or by an autoscaler"
        return (Candidate("replicas", Fraction(0), pool.replicas, reason),)
    if policy.predictive.mode is not PredictiveMode.ACT:
        return needs.candidates
    pods = boosted(_most_asked(needs.candidates), needs.predicted, policy.predictive)
    reason = f"{needs.predicted} within {policy.predictive.horizon}"
    return (*needs.candidates, Candidate("prediction", Fraction(pods), 0, reason))


def _most_asked(asked: Sequence[Candidate]) -> int:
    return max(c.pods for c in asked)


def _noted(
    memory: Memory,
    asked: Sequence[Candidate],
    load: Load,
    current: int,
    policy: Policy,
    now: datetime,
) -> Memory:
    need, floor = max(c.need for c in asked), max(c.floor for c in asked)
    if load.certainty is not Certainty.KNOWN:
        # When the load is known again, a whole window must pass before anything leaves.
        need = max(need, Fraction(current))
    # After a restart nothing is remembered: begin with what stands, as HPA does.
    before = memory.past.needs or (Recommendation(now, Fraction(current), 0),)
    past = Past((*before, Recommendation(now, need, floor)), memory.past.changes)
    dark = load.certainty is Certainty.UNKNOWN
    since = (memory.unknown_since or now) if dark else None
    return Memory(memory.wanted, pace.remembered(past, policy.behavior, now), since)


def _paced(
    pool: Pool,
    policy: Policy,
    memory: Memory,
    asked: Sequence[Candidate],
    load: Load,
    *,
    current: int,
    standing: int,
    now: datetime,
) -> _Number:
    if pool.mode is not ScalingMode.POLICY and pool.replicas is not None:
        return _Number(pool.replicas, asked[0].rule)
    winner = max(asked, key=lambda c: c.pods)
    if load.certainty is Certainty.UNKNOWN:
        due = policy.fallback.due(memory.unknown_since, now)
        pods = in_the_dark(policy.fallback, due=due, current=current, standing=standing)
        floor = max(asked, key=lambda c: c.floor)
        if floor.floor > pods:
            return _Number(floor.floor, floor.rule)
        return _Number(pods, FALLBACK if due else HOLD)
    settled = pace.settle(current, memory.past, policy.behavior, now)
    # What was noted while part of the load is unknown is never below what stands, so it holds.
    held = load.certainty is Certainty.PARTIAL and winner.pods < current
    return _Number(settled.pods, HOLD if held else winner.rule, settled.held_by)


def _paused(policy: Policy, number: _Number, current: int) -> _Number:
    if policy.pause_out and number.pods > current:
        return _Number(current, HOLD, (*number.held_by, "pause.out"))
    if policy.pause_in and number.pods < current:
        return _Number(current, HOLD, (*number.held_by, "pause.in"))
    return number


def _bounded(number: _Number, frame: Bounds) -> tuple[int, str]:
    if number.pods < frame.least:
        return frame.least, "minReplicas"
    return min(number.pods, frame.most), number.rule


def _ceiling(pool: Pool, frame: Bounds, asked: Sequence[Candidate]) -> tuple[Limit, ...]:
    most = _most_asked(asked)
    return (Limit(pool.name, frame.most_by, most, frame.most),) if most > frame.most else ()


def _actions(
    pool: Pool, policy: Policy, inputs: Inputs, load: Load, *, wanted: int, current: int
) -> tuple[Actions, tuple[Limit, ...]]:
    serving = sum(1 for p in inputs.pods if p.standing and p.healthy)
    missing = (min(wanted, current) if policy.pause_out else wanted) - serving
    if missing > 0:
        return _outward(pool, policy, inputs, missing=missing, wanted=wanted)
    empty: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    now, stale_after = inputs.now, policy.stale_after
    if not policy.pause_in and load.certainty is not Certainty.UNKNOWN:
        empty = selection.to_delete(inputs.pods, kept=(), now=now, stale_after=stale_after)
    surplus = sum(1 for p in inputs.pods if p.standing) - wanted
    if not policy.pause_in and load.certainty is Certainty.KNOWN and surplus > 0:
        leaving = selection.to_drain(
            inputs.pods,
            _drainable(policy, inputs, surplus),
            scheduling=pool.scheduling,
            version=pool.version,
            hands_over=pool.hands_over,
            now=now,
            stale_after=stale_after,
        )
    return Actions(drain=leaving, delete=empty), ()


def _drainable(policy: Policy, inputs: Inputs, surplus: int) -> int:
    draining = sum(1 for p in inputs.pods if p.state is PodState.DRAINING)
    standing = sum(1 for p in inputs.pods if p.standing)
    limit = pace.may_drain(policy.behavior, standing, draining, inputs.now)
    return surplus if limit is None else min(surplus, limit)


def _outward(
    pool: Pool, policy: Policy, inputs: Inputs, *, missing: int, wanted: int
) -> tuple[Actions, tuple[Limit, ...]]:
    back = selection.to_undrain(inputs.pods, missing, version=pool.version)
    starting = [p for p in inputs.pods if p.state is PodState.STARTING and p.healthy]
    surge = policy.behavior.max_surge
    beside = (
        wanted + max(1, ceil(wanted * REPLACEMENTS)) - sum(1 for p in inputs.pods if p.standing)
    )
    still = missing - len(back)
    start = allowed(
        min(still, max(0, beside - len(back))),
        starting=len(starting),
        pending=sum(1 for p in starting if not p.node),
        max_surge=max(1, rounded_up(surge, wanted)) if surge is not None else None,
        room=replace(inputs.room, limited=pool.gpus_per_pod > 0),
        now=inputs.now,
    )
    by = start.by or "unhealthy pods"
    short = (Limit(pool.name, by, still, start.pods),) if start.pods < still else ()
    empty = (
        ()
        if policy.pause_in
        else selection.to_delete(
            inputs.pods, kept=back, now=inputs.now, stale_after=policy.stale_after
        )
    )
    indexes = selection.to_start(inputs.pods, start.pods)
    return Actions(start=indexes, undrain=back, delete=empty), short


def _ready(pods: Sequence[Pod]) -> int:
    return sum(1 for p in pods if p.healthy and p.state in (PodState.READY, PodState.ALLOCATED))


def _phases(policy: Policy, inputs: Inputs, *, enough: bool) -> tuple[tuple[str, Phase], ...]:
    found = []
    for booking in inputs.bookings:
        early = lead(booking.lead or policy.events.lead, inputs.cold_starts, policy.events.safety)
        stands = phase(booking, policy.events, lead=early, now=inputs.now, ready=enough)
        found.append((booking.name, stands))
    return tuple(found)


def _remember(memory: Memory, policy: Policy, wanted: int, current: int, now: datetime) -> Memory:
    if policy.dry_run:
        return memory
    changed = (Change(now, wanted - current),) if wanted != current else ()
    past = Past(memory.past.needs, (*memory.past.changes, *changed))
    return Memory(wanted, past, memory.unknown_since)
