"""How fast a number of pods may follow: the words of HorizontalPodAutoscaler v2 `behavior`.

Arithmetic is that of kube-controller-manager (pkg/controller/podautoscaler/horizontal.go):
percentages are of the pods at the start of the period, rounded up on the way out and down on the
way in; a stabilisation window takes the least recommendation of the window on the way out and the
greatest on the way in.

Two differences, on purpose. What is *promised* (bookings, exact rules, minima) is a floor: like
HPA's `minReplicas` it is not slowed down. And tolerance on the way in looks at whole pods: nothing
is given back that a load higher by the tolerance would need again, so that small pools do not flap
either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import ceil

from odeon_operator.domain.amounts import Amount, Count, Percent, rounded_down
from odeon_operator.domain.windows import ActivePeriod, Always, holds


class SelectPolicy(StrEnum):
    """Which of several rates counts."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `value` pods (a count) or percent of the pods per period."""

    value: Amount
    period: timedelta


@dataclass(frozen=True, slots=True)
class Direction:
    """One direction of scaling.

    Attributes:
        window: stabilisation; zero follows at once.
        rates: none is no limit.
        select: which rate counts; `Disabled` never scales this way.
        tolerance: relative distance that is not worth a change.
    """

    window: timedelta = timedelta(0)
    rates: tuple[Rate, ...] = ()
    select: SelectPolicy = SelectPolicy.MAX
    tolerance: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True)
class DisruptionBudget:
    """At most `pods` may be draining at once while it holds (Karpenter's disruption budgets)."""

    pods: Amount
    when: ActivePeriod | Always = field(default_factory=Always)


@dataclass(frozen=True, slots=True)
class Behavior:
    """Both directions, and what only one of them knows.

    Attributes:
        max_surge: at most so many pods starting at once; None is no limit.
        cooldown: no scale-in so long after any change.
        max_step: at most so many pods leave in one decision; None is no limit.
        budgets: limits on pods that drain at once; the smallest that holds counts.
    """

    scale_out: Direction = Direction()
    # 20 %: the distance between the ends of a load that swings by 10 % either way (0.9 / 1.1).
    scale_in: Direction = Direction(window=timedelta(seconds=300), tolerance=Fraction(1, 5))
    max_surge: Amount | None = None
    cooldown: timedelta = timedelta(0)
    max_step: Amount | None = None
    budgets: tuple[DisruptionBudget, ...] = ()


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What was needed at a moment: pods for the load (exact) and pods promised."""

    at: datetime
    need: Fraction
    floor: int


@dataclass(frozen=True, slots=True)
class Change:
    """By how much the wanted number changed at a moment."""

    at: datetime
    by: int


@dataclass(frozen=True, slots=True)
class Past:
    """What behaviour remembers; pruned to what its windows can see."""

    needs: tuple[Recommendation, ...] = ()
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What behaviour made of a need, and which of its words held it back."""

    pods: int
    held_by: tuple[str, ...] = field(default=())


def settle(current: int, past: Past, behavior: Behavior, now: datetime) -> Settled:
    """The number of pods to want. The newest of `past.needs` is the present need."""
    latest = past.needs[-1]
    outward = max(latest.floor, current, _out_by_load(current, past, behavior, now))
    if outward > current or max(ceil(latest.need), latest.floor) >= current:
        held = ("scaleOut",) if outward < ceil(latest.need) else ()
        return Settled(outward, held)
    return _inward(current, past, behavior, now)


def remembered(past: Past, behavior: Behavior, now: datetime) -> Past:
    """Without what no window can see any more; bounds the memory."""
    window = max(behavior.scale_out.window, behavior.scale_in.window)
    periods = [r.period for d in (behavior.scale_out, behavior.scale_in) for r in d.rates]
    reach = max([behavior.cooldown, *periods], default=timedelta(0))
    return Past(
        tuple(n for n in past.needs if now - n.at < window or n is past.needs[-1]),
        tuple(c for c in past.changes if now - c.at < reach),
    )


def out_limit(current: int, changes: Sequence[Change], out: Direction, now: datetime) -> int | None:
    """The most pods that the rates allow now; None is no limit."""
    if out.select is SelectPolicy.DISABLED:
        return current
    if not out.rates:
        return None
    proposals = []
    for rate in out.rates:
        before = _at_period_start(current, changes, rate.period, now)
        if isinstance(rate.value, Count):
            proposals.append(before + rate.value.pods)
        else:
            proposals.append(ceil(Fraction(before * (100 + rate.value.percent), 100)))
    chosen = max(proposals) if out.select is SelectPolicy.MAX else min(proposals)
    return max(current, chosen)


def in_limit(current: int, changes: Sequence[Change], into: Direction, now: datetime) -> int:
    """The fewest pods that the rates allow now."""
    if into.select is SelectPolicy.DISABLED:
        return current
    if not into.rates:
        return 0
    proposals = []
    for rate in into.rates:
        before = _at_period_start(current, changes, rate.period, now)
        if isinstance(rate.value, Count):
            proposals.append(before - rate.value.pods)
        else:
            # A number of pods is positive or zero: truncation and rounding down are the same.
            proposals.append(max(0, before * (100 - rate.value.percent)) // 100)
    chosen = min(proposals) if into.select is SelectPolicy.MAX else max(proposals)
    return max(0, min(current, chosen))


def may_drain(behavior: Behavior, standing: int, draining: int, now: datetime) -> int | None:
    """How many more pods may begin to drain now; None is no limit."""
    limits = [
        rounded_down(b.pods, standing + draining) for b in behavior.budgets if holds(b.when, now)
    ]
    return max(0, min(limits) - draining) if limits else None


def _out_by_load(current: int, past: Past, behavior: Behavior, now: datetime) -> int:
    out = behavior.scale_out
    need = min(n.need for n in past.needs if now - n.at < out.window or n is past.needs[-1])
    if need <= current * (1 + out.tolerance):
        return current
    limit = out_limit(current, past.changes, out, now)
    return ceil(need) if limit is None else min(ceil(need), limit)


def _inward(current: int, past: Past, behavior: Behavior, now: datetime) -> Settled:
    into = behavior.scale_in
    seen = [n for n in past.needs if now - n.at < into.window or n is past.needs[-1]]
    need, floor = max(n.need for n in seen), max(n.floor for n in seen)
    if max(ceil(need), floor) >= current:
        return Settled(current, ("scaleIn.stabilizationWindowSeconds",))
    if into.tolerance and ceil(need / (1 - into.tolerance)) >= current:
        return Settled(current, ("scaleIn.tolerance",))
    if any(now - change.at < behavior.cooldown for change in past.changes):
        return Settled(current, ("scaleIn.cooldownSeconds",))
    wanted = max(ceil(need), floor)
    slowest = {"scaleIn.policies": in_limit(current, past.changes, into, now)}
    if behavior.max_step is not None:
        step = max(_one_of(behavior.max_step), rounded_down(behavior.max_step, current))
        slowest["scaleIn.maxPods"] = current - step
    limited = tuple(word for word, least in slowest.items() if least > wanted)
    return Settled(max(wanted, *slowest.values()), limited)


def _one_of(amount: Amount) -> int:
    """A percentage above zero lets at least one pod go, or a small pool would never shrink."""
    return 1 if isinstance(amount, Percent) and amount.percent else 0


def _at_period_start(
    current: int, changes: Sequence[Change], period: timedelta, now: datetime
) -> int:
    return current - sum(change.by for change in changes if now - change.at < period)
