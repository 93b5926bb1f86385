"""The decision: from what is known now to a number of pods, which ones, and why.

```
 reports, queue ─► load ─┐
 bookings ─► booked ─────┼─► rules (max) ─► prediction ─► behaviour ─► pause ─► bounds ─► wanted
 tenants' quotas ────────┘                                                     │
          undrain, start / drain, delete (`acting.py`) ◄── pods, room ◄──────┘
```
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction

from odeon_operator.domain import behavior as pace
from odeon_operator.domain.acting import Turn, act
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
from odeon_operator.domain.rollout import Frame, moving_on
from odeon_operator.domain.rules import Candidate
from odeon_operator.domain.selection import Actions


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
    seen, inputs = inputs, _moving_on(pool, policy, inputs, current)
    load = _load(pool, policy, inputs)
    needs = add_up(pool, policy, inputs, load)
    frame = _frame(pool, policy, inputs, current)
    asked = _asked(pool, policy, needs)
    memory = _noted(memory, asked, load, current, policy, inputs.now)
    number = _paced(
        pool, policy, memory, asked, load, current=current, standing=standing, now=inputs.now
    )
    number = _paused(policy, number, current)
    wanted, rule = _bounded(number, frame)
    within = min(max(_most_asked(asked), frame.least), frame.most)
    goal = Frame(wanted, within, needs.promised)
    acts = act(Turn(pool, policy, inputs, load, goal, current))
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
        limits=(*needs.limits, *_ceiling(pool, frame, asked), *acts.short),
        shares=needs.shares(_most_asked(asked), frame.most),
        phases=_phases(policy, inputs, enough=_ready(inputs.pods) >= needs.promised),
        predicted=needs.predicted if policy.predictive.mode is not PredictiveMode.OFF else None,
        warnings=frame.warned,
        dry_run=policy.dry_run,
        actions=Actions() if policy.dry_run else acts.actions,
        rollout=acts.rollout,
        notices=tuple(sorted({p.notice.why for p in seen.pods if p.notice is not None})),
    )
    return Plan(decision, _remember(memory, policy, wanted, current, inputs.now))


def _moving_on(pool: Pool, policy: Policy, inputs: Inputs, current: int) -> Inputs:
    """The inputs, with a notice for pods that hand over because their template is an older one."""
    if policy.pause_in or policy.pause_out:
        return inputs
    standing = sum(1 for p in inputs.pods if p.standing)
    draining = sum(1 for p in inputs.pods if p.state is PodState.DRAINING)
    most = pace.may_drain(policy.behavior, standing, draining, inputs.now)
    pods = moving_on(inputs.pods, pool.version, pool.update, current=current, most=most)
    return replace(inputs, pods=pods)


def _frame(pool: Pool, policy: Policy, inputs: Inputs, current: int) -> Bounds:
    return bounds(
        least=pool.least,
        most=pool.most,
        budget=policy.budget,
        gpu_hours_today=inputs.gpu_hours_today,
        current=current,
    )


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
