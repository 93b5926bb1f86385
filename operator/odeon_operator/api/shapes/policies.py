"""`ScalingPolicy`: how many pods a pool should have, and how fast that number may change."""

from datetime import timedelta
from fractions import Fraction
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from odeon_operator.api.shapes.base import (
    Buffer,
    Cel,
    Condition,
    Counting,
    Cron,
    Duration,
    IntOrPercent,
    LabelSelector,
    LeadTime,
    Moment,
    Natural,
    PercentOnly,
    Positive,
    Shape,
    Share,
    Zone,
    conditions,
    keyed,
    listed,
)

_RESERVED_IDS = ("load", "prediction", "replicas", "hold", "fallback")


class MetricShape(Shape):
    """What to scale on, and how much of it a pod should carry."""

    type: Literal["ActiveTranscodes", "Viewers", "EgressMbps", "External"]
    """What is counted. Transcoder pools know ActiveTranscodes, edge pools Viewers and EgressMbps;
    External is a number from outside, for either."""
    target: IntOrPercent | None = None
    """Load of one pod, in units or as a percentage of what the pool says that a pod carries. All of
    it unless given. External needs a number of units."""
    stale_after_seconds: Counting = 15
    """A report older than this is not believed."""


class BetweenShape(Shape):
    """Two moments, the first included; either may be open."""

    cel = (
        Cel(
            "!has(self.start) || !has(self.end) || self.start < self.end",
            "start is not before end",
        ),
    )

    start: Moment | None = None
    """From when the rule holds."""
    end: Moment | None = None
    """Until when."""

    @model_validator(mode="after")
    def _in_order(self) -> "BetweenShape":
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start is not before end")
        return self


class ActivePeriodShape(Shape):
    """A while after each tick of a cron line."""

    start_cron: Cron
    """Five fields of cron: minute, hour, day, month, weekday."""
    duration: Positive
    """How long it lasts, e.g. "4h"."""
    timezone: Zone = ZoneInfo("UTC")
    """Time zone of the cron line, a name of the tz database."""


class WhenShape(Shape):
    """Exactly one of three kinds of window."""

    cel = (
        Cel(
            "[has(self.between), has(self.activePeriod), has(self.always)]"
            ".filter(given, given).size() == 1",
            "needs exactly one of between, activePeriod and always",
        ),
    )

    between: BetweenShape | None = None
    """Once, between two moments."""
    active_period: ActivePeriodShape | None = None
    """Again and again."""
    always: Literal[True] | None = None
    """At all times."""

    @model_validator(mode="after")
    def _one(self) -> "WhenShape":
        if sum(x is not None for x in (self.between, self.active_period, self.always)) != 1:
            raise ValueError("needs exactly one of between, activePeriod and always")
        return self


class RuleShape(Shape):
    """What to ask for in a window. The largest of what all active rules ask for wins."""

    cel = (
        Cel(
            f"!(self.id in {list(_RESERVED_IDS)})".replace('"', "'"),
            f"id has a meaning of its own: {', '.join(_RESERVED_IDS)}",
        ),
        Cel("!has(self.min) || !has(self.max) || self.min <= self.max", "min is above max"),
        Cel(
            "!has(self.buffer) || !has(self.max) || type(self.buffer) != int"
            " || self.buffer <= self.max",
            "buffer is above max",
        ),
        Cel(
            "!has(self.replicas) || !(has(self.buffer) || has(self.min) || has(self.max))",
            "replicas is exact: it goes with no buffer, min or max",
        ),
        Cel(
            "has(self.replicas) || has(self.buffer) || has(self.min) || has(self.max)",
            "asks for nothing: give buffer, min, max or replicas",
        ),
    )

    id: Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    """Name of the rule in decisions and in the status."""
    when: WhenShape
    """When it holds."""
    buffer: Buffer | None = None
    """Kept free while it holds, instead of the policy's buffer."""
    min: Natural | None = None
    """At least so many pods."""
    max: Natural | None = None
    """This rule asks for no more; others may."""
    replicas: Natural | None = None
    """Exactly so many pods, whatever the load is; more load than that still gets more."""

    @model_validator(mode="after")
    def _sensible(self) -> "RuleShape":
        if self.id in _RESERVED_IDS:
            raise ValueError(f"id has a meaning of its own: {', '.join(_RESERVED_IDS)}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        if isinstance(self.buffer, int) and self.max is not None and self.buffer > self.max:
            raise ValueError("buffer is above max")
        others = (self.buffer, self.min, self.max)
        if self.replicas is not None and any(x is not None for x in others):
            raise ValueError("replicas is exact: it goes with no buffer, min or max")
        if self.replicas is None and all(x is None for x in others):
            raise ValueError("asks for nothing: give buffer, min, max or replicas")
        return self


class EventsShape(Shape):
    """How bookings (LiveEvents) are treated."""

    selector: LabelSelector | None = None
    """Which LiveEvents count for pools of this policy; all unless given."""
    lead_time: LeadTime = Field(default=None, json_schema_extra={"default": "Auto"})
    """How long before the start the capacity is wanted. Auto: the cold start that was learned
    (its 95th percentile) times 1.5."""
    ramp: Duration = timedelta(0)
    """Over how long the capacity rises before that, so that a large event does not ask for all at
    once."""
    hold_after_end: Duration = timedelta(minutes=5)
    """How long it is kept after the end, for the event that runs over."""
    no_show_after: Duration | None = timedelta(minutes=30)
    """When an event that is known not to have come gives its capacity back."""


class PredictiveShape(Shape):
    """What predictions, made of registrations and of past events, may do."""

    mode: Literal["Off", "Advise", "Act"] = "Off"
    """Advise tells the number in decisions only; Act follows it."""
    horizon: Positive = timedelta(minutes=15)
    """How far ahead is looked."""
    quantile: Annotated[int, Field(ge=1, le=100)] = 90
    """How sure it should be, in percent: of that many futures none needs more."""
    max_boost: PercentOnly = Field(default=100, json_schema_extra={"default": "100%"})
    """At most so much more than without the prediction."""


class RateShape(Shape):
    """So much change in a while; a policy of HPA v2's `behavior`."""

    type: Literal["Pods", "Percent"]
    """Whether `value` is a number of pods or a percentage of those that stand."""
    value: Counting
    """How much may change in the period."""
    period_seconds: Annotated[int, Field(ge=1, le=1800)]
    """The period."""


class _DirectionShape(Shape):
    policies: list[RateShape] = listed(most=16)
    """How fast the number may change; without any, at once."""
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"
    """Which policy counts: the one that allows most, or least, change; Disabled allows none."""


class ScaleOutShape(_DirectionShape):
    """The way out; at once and without a limit unless told otherwise."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    """The least that was wanted in this window is followed."""
    tolerance: Share = Fraction(0)
    """A load so much above what the pods carry, as a share, changes nothing."""
    max_surge: IntOrPercent | None = None
    """At most so many pods may be starting at once."""


class DisruptionBudgetShape(Shape):
    """How many pods may drain at once, always or for a while after each tick."""

    cel = (Cel("has(self.schedule) == has(self.duration)", "schedule and duration go together"),)

    pods: IntOrPercent
    """So many pods; 0 stops the way in."""
    schedule: Cron | None = None
    """Five fields of cron; without it the budget always holds."""
    duration: Positive | None = None
    """How long it holds after each tick."""
    timezone: Zone = ZoneInfo("UTC")
    """Time zone of the schedule, a name of the tz database."""

    @model_validator(mode="after")
    def _both(self) -> "DisruptionBudgetShape":
        if (self.schedule is None) != (self.duration is None):
            raise ValueError("schedule and duration go together")
        return self


class ScaleInShape(_DirectionShape):
    """The way in. Only pods without work are drained; edges after their viewers moved."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    """The most that was wanted in this window is followed."""
    tolerance: Share = Fraction(1, 5)
    """A load so much below what the pods carry, as a share, changes nothing."""
    cooldown_seconds: Natural = 0
    """How long after a change in either direction no pod goes."""
    max_pods: IntOrPercent | None = None
    """At most so many go in one decision."""
    budgets: list[DisruptionBudgetShape] = listed(most=16)
    """How many may drain at once; the smallest that holds counts."""


class BehaviorShape(Shape):
    """How fast the number of pods follows the load, in the words of HPA v2."""

    scale_out: ScaleOutShape = ScaleOutShape()
    """The way out."""
    scale_in: ScaleInShape = ScaleInShape()
    """The way in."""


class FallbackShape(Shape):
    """What is wanted when the load has been unknown for a while. None of them drains a pod."""

    after_seconds: Natural = 180
    """How long the last number is held before."""
    behavior: Literal["Hold", "Static", "CurrentIfHigher"] = "Hold"
    """Hold keeps the last number, Static wants `replicas`, CurrentIfHigher the larger of both."""
    replicas: Natural = 0
    """For Static and CurrentIfHigher."""


class BudgetShape(Shape):
    """What a pool may cost. It is stronger than any minimum, and stops nothing that is live."""

    max_replicas: Natural | None = None
    """Most pods."""
    max_gpu_hours_per_day: Annotated[float, Field(ge=0, strict=False)] | None = None
    """GPU-hours a day; when they are used up the pool grows no more."""
    on_exceed: Literal["Warn", "Cap"] = "Cap"
    """Whether it limits, or only warns."""


class PauseShape(Shape):
    """Directions that are stopped."""

    in_: Annotated[bool, Field(alias="in")] = False
    """No pod goes."""
    out: bool = False
    """No pod is added."""


class ScalingPolicySpec(Shape):
    """`ScalingPolicy.spec`."""

    cel = (
        Cel(
            "!has(self.budget) || !has(self.budget.maxReplicas) || !has(self.buffer)"
            " || type(self.buffer) != int || self.buffer <= self.budget.maxReplicas",
            "buffer is above budget.maxReplicas",
        ),
    )

    metric: MetricShape | None = None
    """What to scale on; what the kind of pool carries unless given."""
    buffer: Buffer = 1
    """Capacity kept free beyond the load: pods, or the percentage of the whole that stays free."""
    rules: list[RuleShape] = keyed("id", most=64)
    """What else is asked for, and when."""
    events: EventsShape = EventsShape()
    """How bookings are treated."""
    predictive: PredictiveShape = PredictiveShape()
    """What predictions may do."""
    behavior: BehaviorShape = BehaviorShape()
    """How fast the number may change."""
    fallback: FallbackShape = FallbackShape()
    """What is wanted while nothing is known."""
    budget: BudgetShape = BudgetShape()
    """What a pool may cost."""
    pause: PauseShape = PauseShape()
    """Directions that are stopped."""
    dry_run: bool = False
    """Decide and record, but touch no pod."""

    @model_validator(mode="after")
    def _sensible(self) -> "ScalingPolicySpec":
        most = self.budget.max_replicas
        if isinstance(self.buffer, int) and most is not None and self.buffer > most:
            raise ValueError("buffer is above budget.maxReplicas")
        return self


class ScalingPolicyStatus(Shape):
    """`ScalingPolicy.status`; decisions are in the status of the pools."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec that this is about."""
    conditions: list[Condition] = conditions()
    """Ready: whether every field makes sense."""
