"""Shapes of resources become values of the domain."""

from datetime import timedelta
from fractions import Fraction

from odeon_runtime.errors import InvalidArgument

from odeon_operator.api import shapes
from odeon_operator.domain import amounts
from odeon_operator.domain.amounts import Amount, Count, Percent
from odeon_operator.domain.behavior import (
    Behavior,
    Direction,
    DisruptionBudget,
    Rate,
    SelectPolicy,
)
from odeon_operator.domain.booking_status import Amounts
from odeon_operator.domain.bookings import Booking, EventsPolicy
from odeon_operator.domain.demand import Target
from odeon_operator.domain.fallback import Fallback, FallbackBehavior
from odeon_operator.domain.limits import Budget, OnExceed
from odeon_operator.domain.policy import Policy, Pool, ScalingMode
from odeon_operator.domain.prediction import Predictive, PredictiveMode
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.rollout import UpdateStrategy
from odeon_operator.domain.rules import Rule
from odeon_operator.domain.selection import Scheduling
from odeon_operator.domain.windows import ActivePeriod, Always, Between, Window, check_cron

_KINDS: dict[type[shapes.TranscoderPoolSpec | shapes.EdgePoolSpec], set[Metric]] = {
    shapes.TranscoderPoolSpec: {Metric.ACTIVE_TRANSCODES, Metric.EXTERNAL},
    shapes.EdgePoolSpec: {Metric.VIEWERS, Metric.EGRESS_MBPS, Metric.EXTERNAL},
}


def policy(name: str, spec: shapes.ScalingPolicySpec) -> Policy:
    """A scaling policy.

    Raises:
        InvalidArgument: a field makes no sense; it is named.
    """
    events, ahead = spec.events, spec.predictive
    stale = spec.metric.stale_after_seconds if spec.metric is not None else 15
    return Policy(
        name=name,
        stale_after=timedelta(seconds=stale),
        buffer=_buffer(spec.buffer, "spec.buffer"),
        rules=tuple(_rule(rule, f"spec.rules[{n}]") for n, rule in enumerate(spec.rules)),
        events=EventsPolicy(
            lead=events.lead_time,
            ramp=events.ramp,
            hold_after_end=events.hold_after_end,
            no_show_after=events.no_show_after,
        ),
        predictive=Predictive(
            PredictiveMode(ahead.mode), ahead.horizon, ahead.quantile, ahead.max_boost
        ),
        behavior=_behavior(spec.behavior),
        fallback=Fallback(
            timedelta(seconds=spec.fallback.after_seconds),
            FallbackBehavior(spec.fallback.behavior),
            spec.fallback.replicas,
        ),
        budget=Budget(
            spec.budget.max_replicas,
            spec.budget.max_gpu_hours_per_day,
            OnExceed(spec.budget.on_exceed),
        ),
        pause_in=spec.pause.in_,
        pause_out=spec.pause.out,
        dry_run=spec.dry_run,
    )


def pool(
    name: str,
    spec: shapes.TranscoderPoolSpec | shapes.EdgePoolSpec,
    metric: shapes.MetricShape | None = None,
) -> Pool:
    """A pool, with the targets that the metric of its policy changes.

    Raises:
        InvalidArgument: the metric is none of this kind of pool.
    """
    edges = isinstance(spec, shapes.EdgePoolSpec)
    return Pool(
        name=name,
        least=spec.min_replicas,
        most=spec.max_replicas,
        targets=_targets(spec, metric),
        hands_over=edges,
        gpus_per_pod=spec.gpu.count if spec.gpu is not None else 0,
        scheduling=Scheduling(spec.scheduling),
        mode=ScalingMode(spec.scaling_mode),
        replicas=spec.replicas,
        update=_update(spec.update_strategy),
    )


def booking(
    name: str,
    spec: shapes.LiveEventSpec,
    costs: dict[str, float],
    peak: Amounts | None = None,
) -> Booking:
    """A booking.

    Args:
        name: of the LiveEvent.
        spec: of the LiveEvent.
        costs: slots of a job by profile; a profile that is not listed costs one.
        peak: the most that it used.
    """
    slots = sum(
        (Fraction(costs.get(t.profile, 1.0)) * t.count for t in spec.expected.transcodes),
        Fraction(0),
    )
    viewers = spec.expected.viewers.p95 or spec.expected.viewers.p50 or 0
    return Booking(
        name=name,
        tenant=spec.tenant_ref.name,
        start=spec.start,
        end=spec.end,
        expected={Metric.ACTIVE_TRANSCODES: slots, Metric.VIEWERS: Fraction(viewers)},
        peak=_peak(peak),
        lead=spec.lead,
        started=spec.started_at,
        ended=spec.ended_at,
        followed=spec.followed,
        cancelled=spec.cancelled,
        registrations=spec.registrations,
        costs={profile: Fraction(cost) for profile, cost in costs.items()},
    )


def _peak(peak: Amounts | None) -> dict[Metric, Fraction] | None:
    if peak is None:
        return None
    return {
        Metric.ACTIVE_TRANSCODES: Fraction(peak.slots),
        Metric.VIEWERS: Fraction(peak.viewers),
    }


def _targets(
    spec: shapes.TranscoderPoolSpec | shapes.EdgePoolSpec, metric: shapes.MetricShape | None
) -> tuple[Target, ...]:
    if isinstance(spec, shapes.TranscoderPoolSpec):
        carried = {Metric.ACTIVE_TRANSCODES: Fraction(spec.slots_per_pod)}
    else:
        carried = {Metric.VIEWERS: Fraction(spec.viewers_per_pod)}
        if spec.egress_mbps_per_pod is not None:
            carried[Metric.EGRESS_MBPS] = Fraction(spec.egress_mbps_per_pod)
    if metric is not None:
        kind = Metric(metric.type)
        if kind not in _KINDS[type(spec)]:
            raise InvalidArgument(
                field="spec.metric.type", problem=f"{kind} is not known of this kind of pool"
            )
        carried[kind] = _target(metric, carried.get(kind))
    return tuple(Target(kind, per_pod) for kind, per_pod in carried.items())


def _target(metric: shapes.MetricShape, carried: Fraction | None) -> Fraction:
    field = "spec.metric.target"
    if metric.target is None:
        if carried is None:
            raise InvalidArgument(field=field, problem=f"{metric.type} needs units per pod")
        return carried
    amount = amounts.parse(metric.target, field=field)
    if isinstance(amount, Count) and amount.pods > 0:
        return Fraction(amount.pods)
    if isinstance(amount, Percent) and amount.percent > 0 and carried is not None:
        return carried * amount.percent / 100
    raise InvalidArgument(field=field, problem=f"{amount} of {metric.type} is no load for a pod")


def _update(shape: shapes.UpdateStrategyShape) -> UpdateStrategy:
    field = "spec.updateStrategy"
    return UpdateStrategy(
        amounts.parse(shape.max_surge, field=f"{field}.maxSurge"),
        amounts.parse(shape.max_unavailable_idle, field=f"{field}.maxUnavailableIdle"),
        hand_over=shape.live_work == "HandOver",
    )


def _buffer(raw: int | str, field: str) -> Amount:
    return amounts.check_buffer(amounts.parse(raw, field=field), field=field)


def _optional(raw: int | str | None, field: str) -> Amount | None:
    return None if raw is None else amounts.parse(raw, field=field)


def _rule(shape: shapes.RuleShape, field: str) -> Rule:
    return Rule(
        id=shape.id,
        when=_window(shape.when, f"{field}.when"),
        buffer=None if shape.buffer is None else _buffer(shape.buffer, f"{field}.buffer"),
        min=shape.min,
        max=shape.max,
        replicas=shape.replicas,
    )


def _window(shape: shapes.WhenShape, field: str) -> Window:
    if shape.between is not None:
        return Between(shape.between.start, shape.between.end)
    if shape.active_period is not None:
        period = shape.active_period
        line = check_cron(period.start_cron, field=f"{field}.activePeriod.startCron")
        return ActivePeriod(line, period.duration, period.timezone)
    return Always()


def _behavior(shape: shapes.BehaviorShape) -> Behavior:
    out, into = shape.scale_out, shape.scale_in
    field = "spec.behavior.scaleIn"
    return Behavior(
        scale_out=_direction(out),
        scale_in=_direction(into),
        max_surge=_optional(out.max_surge, "spec.behavior.scaleOut.maxSurge"),
        cooldown=timedelta(seconds=into.cooldown_seconds),
        max_step=_optional(into.max_pods, f"{field}.maxPods"),
        budgets=tuple(_budget(b, f"{field}.budgets[{n}]") for n, b in enumerate(into.budgets)),
    )


def _direction(shape: shapes.ScaleOutShape | shapes.ScaleInShape) -> Direction:
    return Direction(
        window=timedelta(seconds=shape.stabilization_window_seconds),
        rates=tuple(
            Rate(
                Count(rate.value) if rate.type == "Pods" else Percent(rate.value),
                timedelta(seconds=rate.period_seconds),
            )
            for rate in shape.policies
        ),
        select=SelectPolicy(shape.select_policy),
        tolerance=shape.tolerance,
    )


def _budget(shape: shapes.DisruptionBudgetShape, field: str) -> DisruptionBudget:
    pods = amounts.parse(shape.pods, field=f"{field}.pods")
    if shape.schedule is None or shape.duration is None:
        return DisruptionBudget(pods)
    line = check_cron(shape.schedule, field=f"{field}.schedule")
    return DisruptionBudget(pods, ActivePeriod(line, shape.duration, shape.timezone))
