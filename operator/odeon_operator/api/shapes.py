"""The custom resources of `odeon.live/v1alpha1` as they are written, field by field.

Unknown fields are refused, so that a misspelled one is not silently ignored. Names are those of the
CRDs.
"""

import re
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)
from pydantic.alias_generators import to_camel

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def _duration(raw: object) -> object:
    if isinstance(raw, str):
        found = _DURATION.fullmatch(raw)
        if raw and found is not None:
            days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
            return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    raise ValueError(f'{raw!r} is no duration such as "90s", "5m" or "1h30m"')


def _fraction(raw: object) -> object:
    # A Kubernetes Quantity may be written as a number or as a string.
    if isinstance(raw, int | float | str) and not isinstance(raw, bool):
        try:
            value = Fraction(Decimal(str(raw)))
        except (ArithmeticError, ValueError):
            value = Fraction(-1)
        if 0 <= value < 1:
            return value
    raise ValueError(f'{raw!r} is no share between 0 and 1 such as "0.1"')


def _amount(raw: object) -> object:
    if isinstance(raw, bool) or not isinstance(raw, int | str):
        raise ValueError(f'{raw!r} is neither a number nor like "20%"')
    return raw


def _percent(raw: object) -> object:
    if isinstance(raw, str) and re.fullmatch(r"\d+%", raw):
        return int(raw[:-1])
    raise ValueError(f'{raw!r} is no percentage such as "50%"')


def _moment(raw: object) -> object:
    # YAML reads an unquoted time by itself; a quoted one is a string.
    if isinstance(raw, str):
        try:
            return datetime.fromisoformat(raw)
        except ValueError:
            raise ValueError(f'{raw!r} is no time such as "2026-05-04T14:00:00Z"') from None
    return raw


def _zone(raw: object) -> object:
    if not isinstance(raw, str):
        raise ValueError(f"{raw!r} is no time zone")
    try:
        return ZoneInfo(raw)
    except (OSError, ValueError, KeyError):
        raise ValueError(f'{raw!r} is no time zone such as "Asia/Shanghai"') from None


Duration = Annotated[timedelta, BeforeValidator(_duration)]
Positive = Annotated[
    Duration, AfterValidator(lambda d: d if d else _refuse("must be longer than nothing"))
]
LeadTime = Annotated[
    timedelta | None, BeforeValidator(lambda raw: None if raw == "Auto" else _duration(raw))
]
Share = Annotated[Fraction, BeforeValidator(_fraction)]
IntOrPercent = Annotated[int | str, BeforeValidator(_amount)]
PercentOnly = Annotated[int, BeforeValidator(_percent)]
Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]
Zone = Annotated[ZoneInfo, BeforeValidator(_zone)]
Natural = Annotated[int, Field(ge=0)]
Counting = Annotated[int, Field(ge=1)]


def _refuse(problem: str) -> Any:
    raise ValueError(problem)


class Shape(BaseModel):
    """What all have in common: no unknown field, no conversion of types, frozen."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        alias_generator=to_camel,
        arbitrary_types_allowed=True,
        populate_by_name=False,
    )


class MetricShape(Shape):
    """What to scale on, and how much of it a pod should carry."""

    type: Literal["ActiveTranscodes", "Viewers", "EgressMbps", "External"]
    target: IntOrPercent | None = None
    stale_after_seconds: Counting = 15


class BetweenShape(Shape):
    """Two moments; either may be open."""

    start: Moment | None = None
    end: Moment | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "BetweenShape":
        if self.start and self.end and self.start >= self.end:
            raise ValueError("start is not before end")
        return self


class ActivePeriodShape(Shape):
    """A while after each tick of a cron line."""

    start_cron: str
    duration: Positive
    timezone: Zone = ZoneInfo("UTC")


class WhenShape(Shape):
    """Exactly one of three kinds of window."""

    between: BetweenShape | None = None
    active_period: ActivePeriodShape | None = None
    always: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> "WhenShape":
        if sum(x is not None for x in (self.between, self.active_period, self.always)) != 1:
            raise ValueError("needs exactly one of between, activePeriod and always")
        return self


class RuleShape(Shape):
    """What to ask for in a window."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    when: WhenShape
    buffer: IntOrPercent | None = None
    min: Natural | None = None
    max: Natural | None = None
    replicas: Natural | None = None

    @model_validator(mode="after")
    def _sensible(self) -> "RuleShape":
        if self.id in ("load", "prediction", "replicas", "hold", "fallback"):
            raise ValueError(f"id {self.id} has a meaning of its own")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is above max")
        others = (self.buffer, self.min, self.max)
        if self.replicas is not None and any(x is not None for x in others):
            raise ValueError("replicas is exact: it goes with no buffer, min or max")
        if self.replicas is None and all(x is None for x in others):
            raise ValueError("asks for nothing: give buffer, min, max or replicas")
        return self


class EventsShape(Shape):
    """How bookings are treated."""

    selector: dict[str, Any] | None = None
    lead_time: LeadTime = None
    ramp: Duration = timedelta(0)
    hold_after_end: Duration = timedelta(minutes=5)
    no_show_after: Duration | None = timedelta(minutes=30)


class PredictiveShape(Shape):
    """What predictions may do."""

    mode: Literal["Off", "Advise", "Act"] = "Off"
    horizon: Positive = timedelta(minutes=15)
    quantile: Annotated[int, Field(ge=1, le=100)] = 90
    max_boost: PercentOnly = 100


class RateShape(Shape):
    """One policy of HPA v2's `behavior`."""

    type: Literal["Pods", "Percent"]
    value: Counting
    period_seconds: Annotated[int, Field(ge=1, le=1800)]


class _DirectionShape(Shape):
    policies: list[RateShape] = []
    select_policy: Literal["Max", "Min", "Disabled"] = "Max"


class ScaleOutShape(_DirectionShape):
    """The way out; at once and without a limit unless told otherwise."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 0
    tolerance: Share = Fraction(0)
    max_surge: IntOrPercent | None = None


class DisruptionBudgetShape(Shape):
    """How many pods may drain at once, always or for a while after each tick."""

    pods: IntOrPercent
    schedule: str | None = None
    duration: Positive | None = None
    timezone: Zone = ZoneInfo("UTC")

    @model_validator(mode="after")
    def _both(self) -> "DisruptionBudgetShape":
        if (self.schedule is None) != (self.duration is None):
            raise ValueError("schedule and duration go together")
        return self


class ScaleInShape(_DirectionShape):
    """The way in."""

    stabilization_window_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    tolerance: Share = Fraction(1, 5)
    cooldown_seconds: Natural = 0
    max_pods: IntOrPercent | None = None
    budgets: list[DisruptionBudgetShape] = []


class BehaviorShape(Shape):
    """Both ways."""

    scale_out: ScaleOutShape = ScaleOutShape()
    scale_in: ScaleInShape = ScaleInShape()


class FallbackShape(Shape):
    """What is wanted when the load has been unknown for a while."""

    after_seconds: Natural = 180
    behavior: Literal["Hold", "Static", "CurrentIfHigher"] = "Hold"
    replicas: Natural = 0


class BudgetShape(Shape):
    """What a pool may cost."""

    max_replicas: Natural | None = None
    max_gpu_hours_per_day: Annotated[float, Field(ge=0, strict=False)] | None = None
    on_exceed: Literal["Warn", "Cap"] = "Cap"


class PauseShape(Shape):
    """Directions that are stopped."""

    in_: Annotated[bool, Field(alias="in")] = False
    out: bool = False


class ScalingPolicySpec(Shape):
    """`ScalingPolicy.spec`."""

    metric: MetricShape | None = None
    buffer: IntOrPercent = 1
    rules: list[RuleShape] = []
    events: EventsShape = EventsShape()
    predictive: PredictiveShape = PredictiveShape()
    behavior: BehaviorShape = BehaviorShape()
    fallback: FallbackShape = FallbackShape()
    budget: BudgetShape = BudgetShape()
    pause: PauseShape = PauseShape()
    dry_run: bool = False

    @model_validator(mode="after")
    def _unique(self) -> "ScalingPolicySpec":
        ids = [rule.id for rule in self.rules]
        if len(ids) != len(set(ids)):
            raise ValueError("two rules have the same id")
        return self


class ProfileShape(Shape):
    """What a job of a profile costs, in slots."""

    name: str
    cost: Annotated[float, Field(gt=0, strict=False)]


class GpuShape(Shape):
    """GPUs of each pod."""

    resource_name: str = "nvidia.com/gpu"
    count: Natural = 1
    device_class: str | None = None


class PolicyRef(Shape):
    """A policy of the same namespace."""

    name: str


class _PoolSpec(Shape):
    """What both kinds of pool share. What only the controller needs is not read here."""

    min_replicas: Natural = 0
    max_replicas: Counting
    replicas: Natural | None = None
    scaling_mode: Literal["Policy", "Manual", "External"] = "Policy"
    scheduling: Literal["Packed", "Distributed"] = "Packed"
    policy_ref: PolicyRef | None = None
    gpu: GpuShape | None = None
    template: dict[str, Any] | None = None
    ports: dict[str, Any] | None = None
    drain: dict[str, Any] | None = None
    eviction: dict[str, Any] | None = None
    update_strategy: dict[str, Any] | None = None
    tenant_ref: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _in_order(self) -> "_PoolSpec":
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas is above maxReplicas")
        if self.scaling_mode != "Policy" and self.replicas is None:
            raise ValueError(f"scalingMode {self.scaling_mode} needs replicas")
        return self


class TranscoderPoolSpec(_PoolSpec):
    """`TranscoderPool.spec`."""

    slots_per_pod: Counting
    profiles: list[ProfileShape] = []


class EdgePoolSpec(_PoolSpec):
    """`EdgePool.spec`."""

    viewers_per_pod: Counting
    egress_mbps_per_pod: Counting | None = None
    region: str | None = None
    media: dict[str, Any] | None = None
    topology_spread: list[dict[str, Any]] | None = None
    upstream: dict[str, Any] | None = None


class ViewersShape(Shape):
    """Expected viewers: the median, and what nineteen in twenty events stay below."""

    p50: Natural | None = None
    p95: Natural | None = None


class TranscodesShape(Shape):
    """Jobs of one profile."""

    profile: str
    count: Counting


class ExpectedShape(Shape):
    """What a booked event will need."""

    viewers: ViewersShape = ViewersShape()
    transcodes: list[TranscodesShape] = []


class TenantRef(Shape):
    """A tenant of the cluster."""

    name: str


class LiveEventSpec(Shape):
    """`LiveEvent.spec`, a booking."""

    tenant_ref: TenantRef
    start: Moment
    end: Moment
    expected: ExpectedShape = ExpectedShape()
    registrations: Natural | None = None
    regions: list[str] = []
    priority: int = 0
    lead: LeadTime = None

    @model_validator(mode="after")
    def _in_order(self) -> "LiveEventSpec":
        if self.start >= self.end:
            raise ValueError("start is not before end")
        return self
