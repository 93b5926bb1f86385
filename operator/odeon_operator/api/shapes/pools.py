"""`TranscoderPool` and `EdgePool`: like pods that are scaled together."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from odeon_operator.api.shapes.base import (
    Cel,
    Condition,
    Counting,
    IntOrPercent,
    Moment,
    Natural,
    Ref,
    Shape,
    conditions,
    keyed,
    listed,
    unchanging,
)

PROFILE = Field(min_length=1, max_length=63)
Region = Annotated[str, Field(min_length=1, max_length=63)]


class ProfileShape(Shape):
    """What a job of a profile costs."""

    name: Annotated[str, PROFILE]
    """The profile."""
    cost: Annotated[float, Field(gt=0, le=1000, strict=False)]
    """Slots that one job takes, e.g. 2 or 0.5. A profile that is not listed takes one."""


class GpuShape(Shape):
    """GPUs of each pod."""

    resource_name: Annotated[str, Field(min_length=1, max_length=317)] = "nvidia.com/gpu"
    """Name under which nodes offer them."""
    count: Natural = 1
    """How many each pod gets."""
    device_class: Annotated[str, Field(max_length=253)] | None = None
    """Device class, where GPUs are given out by dynamic resource allocation. Not acted on yet."""


class DrainShape(Shape):
    """How pods drain."""

    soft_seconds: Counting = 600
    """A pod that drains longer than this is told of in the condition DrainBlocked. It is not
    deleted for that: a pod with live work stays."""


class UpdateStrategyShape(Shape):
    """How pods of an old template are replaced: idle ones first, only for new ones that serve.

    A pod with work takes no more, finishes what it has or hands it over, and goes.
    """

    max_surge: IntOrPercent = "25%"
    """Pods beyond the wanted number that may stand meanwhile, also beyond maxReplicas. With 0, and
    where no node takes one more, idle pods of the older template make room first."""
    max_unavailable_idle: IntOrPercent = "25%"
    """Pods without work that may drain at once for the update, one at least. What load and bookings
    need is kept in any case."""
    live_work: Literal["Finish", "HandOver"] = "Finish"
    """What becomes of work on pods of an old template: it ends there, however long that takes, or
    others go on with it, as when a node goes away. Viewers of edges move in any case."""


class PoolSpec(Shape):
    """What both kinds of pool share."""

    cel = (
        Cel("self.minReplicas <= self.maxReplicas", "minReplicas is above maxReplicas"),
        Cel(
            "self.scalingMode == 'Policy' || has(self.replicas)",
            "scalingMode other than Policy needs replicas",
        ),
        Cel("has(self.tenantRef) == has(oldSelf.tenantRef)", "tenantRef cannot be changed"),
    )

    min_replicas: Natural = 0
    """Fewest pods."""
    max_replicas: Counting
    """Most pods; stronger than every other wish."""
    replicas: Natural | None = None
    """Wanted number where scalingMode is Manual or External; `/scale` writes it. A policy does not
    read it. Leave it out of what a chart or a pipeline applies, or it is reset each time."""
    scaling_mode: Literal["Policy", "Manual", "External"] = "Policy"
    """Who says how many pods there should be: the policy, a person, an autoscaler by `/scale`."""
    scheduling: Literal["Packed", "Distributed"] = "Packed"
    """Which pods work is given to and which go first: Packed empties nodes, Distributed spreads."""
    policy_ref: Ref | None = None
    """The ScalingPolicy of the same namespace; the defaults of one unless given."""
    gpu: GpuShape | None = None
    """GPUs of each pod; none unless given."""
    template: (
        Annotated[
            dict[str, Any], Field(json_schema_extra={"x-kubernetes-preserve-unknown-fields": True})
        ]
        | None
    ) = None
    """Pod template, as in a Deployment. Labels and annotations of `odeon.live/` are not yours."""
    drain: DrainShape = DrainShape()
    """How pods drain."""
    update_strategy: UpdateStrategyShape = UpdateStrategyShape()
    """How pods of an old template are replaced."""
    tenant_ref: (
        Annotated[
            Ref,
            Field(json_schema_extra=unchanging("tenantRef")),
        ]
        | None
    ) = None
    """The Tenant that has this pool for itself; all tenants share it unless given."""

    @model_validator(mode="after")
    def _in_order(self) -> "PoolSpec":
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas is above maxReplicas")
        if self.scaling_mode != "Policy" and self.replicas is None:
            raise ValueError("scalingMode other than Policy needs replicas")
        return self


class TranscoderPoolSpec(PoolSpec):
    """`TranscoderPool.spec`: pods that encode."""

    slots_per_pod: Counting
    """Slots of each pod; a job takes as many as its profile costs."""
    profiles: list[ProfileShape] = keyed("name", most=64)
    """What jobs cost."""


class EdgePoolSpec(PoolSpec):
    """`EdgePool.spec`: pods that serve viewers."""

    viewers_per_pod: Counting
    """Viewers that one pod serves."""
    egress_mbps_per_pod: Counting | None = None
    """Megabits per second that one pod sends; where both are given the scarcer one decides."""
    region: Region | None = None
    """Where the pods are, as content steering names it."""


class DesiredShape(Shape):
    """The wanted number."""

    replicas: Natural
    """Pods that the pool should have."""
    rule: Annotated[str, Field(max_length=253)]
    """What decided: the id of a rule, load, minReplicas, prediction, hold, fallback or replicas."""
    reason: Annotated[str, Field(max_length=4096)]
    """The same as a sentence."""
    at: Moment
    """When it became what it is."""
    trace_id: Annotated[str, Field(max_length=64)] | None = None
    """Trace of the decision."""


class DecisionShape(Shape):
    """One decision."""

    at: Moment
    """When it was made."""
    wanted: Natural
    """Pods wanted."""
    previous: Natural
    """Pods wanted before."""
    rule: Annotated[str, Field(max_length=253)]
    """What decided."""
    said: list[str] = listed(most=64)
    """Everything that led to it, as sentences."""
    trace_id: Annotated[str, Field(max_length=64)] | None = None
    """Trace of the decision."""


class SlotsShape(Shape):
    """Slots of all pods together."""

    total: Annotated[float, Field(ge=0)] = 0
    """What the pods have."""
    used: Annotated[float, Field(ge=0)] = 0
    """What jobs take."""


class ColdStartShape(Shape):
    """How long a pod took from its creation to its first report."""

    p50_seconds: Natural = 0
    """Median."""
    p95_seconds: Natural = 0
    """95th percentile; what `leadTime: Auto` is made of."""
    samples: Natural = 0
    """Starts that it was learned from."""


class PoolStatus(Shape):
    """What both kinds of pool tell."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec that this is about."""
    replicas: Natural = 0
    """Pods that take work or will; draining ones are not among them."""
    ready: Natural = 0
    """Pods without work that could take some."""
    allocated: Natural = 0
    """Pods with live work."""
    reserved: Natural = 0
    """Work promised to pods and not running yet."""
    draining: Natural = 0
    """Pods that take no new work and will go."""
    pending: Natural = 0
    """Pods that no node has taken yet."""
    unhealthy: Natural = 0
    """Pods whose container crashes or whose node is lost."""
    updated: Natural = 0
    """Pods of the present template."""
    outdated: Natural = 0
    """Pods of older templates, those that drain among them."""
    selector: Annotated[str, Field(max_length=1024)] = ""
    """The pods behind `replicas`, as labels; autoscalers read it through `/scale`."""
    desired: DesiredShape | None = None
    """The wanted number and what decided it."""
    cold_start: ColdStartShape | None = None
    """How long a pod takes until it serves."""
    last_scale_time: Moment | None = None
    """When the wanted number changed last."""
    decisions: list[DecisionShape] = listed(most=32)
    """The last decisions, the newest last."""
    conditions: list[Condition] = conditions()
    """Ready, Progressing, ScalingActive, ScalingLimited, MetricsAvailable, Fallback, DrainBlocked,
    CapacityShort, QuotaExceeded and ForeignWriter."""


class TranscoderPoolStatus(PoolStatus):
    """`TranscoderPool.status`."""

    slots: SlotsShape | None = None
    """What the pods carry."""


class EdgePoolStatus(PoolStatus):
    """`EdgePool.status`."""

    viewers: Natural = 0
    """Connected viewers."""
    egress_mbps: Annotated[float, Field(ge=0)] = 0
    """Megabits per second sent to viewers."""
