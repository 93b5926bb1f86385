"""`LiveEvent`: a booking."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from odeon_operator.api.shapes.base import (
    Cel,
    Condition,
    Counting,
    LeadTime,
    Moment,
    Natural,
    Ref,
    Shape,
    conditions,
    listed,
    unchanging,
)
from odeon_operator.api.shapes.pools import PROFILE, Region


class ViewersShape(Shape):
    """Expected viewers."""

    cel = (Cel("!has(self.p50) || !has(self.p95) || self.p50 <= self.p95", "p50 is above p95"),)

    p50: Natural | None = None
    """The median."""
    p95: Natural | None = None
    """What nineteen in twenty such events stay below; capacity is made for it."""

    @model_validator(mode="after")
    def _in_order(self) -> "ViewersShape":
        if self.p50 is not None and self.p95 is not None and self.p50 > self.p95:
            raise ValueError("p50 is above p95")
        return self


class TranscodesShape(Shape):
    """Jobs of one profile."""

    profile: Annotated[str, PROFILE]
    """The profile."""
    count: Counting
    """How many run at once."""


class ExpectedShape(Shape):
    """What a booked event will need."""

    viewers: ViewersShape = ViewersShape()
    """Viewers at once."""
    transcodes: list[TranscodesShape] = listed(most=64)
    """Jobs at once."""


class LiveEventSpec(Shape):
    """`LiveEvent.spec`: what is booked, for when."""

    cel = (Cel("self.start < self.end", "start is not before end"),)

    tenant_ref: Annotated[Ref, Field(json_schema_extra=unchanging("tenantRef"))]
    """The Tenant whose event it is."""
    start: Moment
    """When it begins."""
    end: Moment
    """When it should end."""
    expected: ExpectedShape = ExpectedShape()
    """What it will need."""
    registrations: Natural | None = None
    """How many registered; predictions are made of it."""
    regions: list[Region] = listed(most=32)
    """Where viewers are expected; anywhere unless given."""
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0
    """Which event goes first when capacity is short: the higher one. Not acted on yet."""
    lead: LeadTime = Field(default=None, json_schema_extra={"default": "Auto"})
    """How long before the start its capacity is wanted. Auto: what the policy says."""
    ttl_seconds_after_finished: Natural | None = None
    """When the object is deleted, counted from endedAt, or from the planned end of an event that
    did not start; never unless given."""
    followed: bool = False
    """Whether somebody keeps startedAt and endedAt: an event that has none by then did not come."""
    started_at: Moment | None = None
    """When it really started. It is live until endedAt, also beyond the planned end."""
    ended_at: Moment | None = None
    """When it really ended; its capacity is given back a hold later."""
    cancelled: bool = False
    """It will not happen: nothing is kept for it."""

    @model_validator(mode="after")
    def _in_order(self) -> "LiveEventSpec":
        if self.start >= self.end:
            raise ValueError("start is not before end")
        return self


class AmountsShape(Shape):
    """Capacity in the units of both kinds of pool."""

    slots: Annotated[float, Field(ge=0)] = 0
    """Of transcoders."""
    viewers: Natural = 0
    """Of edges."""


class LiveEventStatus(Shape):
    """`LiveEvent.status`."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec that this is about."""
    phase: Literal["Pending", "Prewarming", "Ready", "Live", "Cooling", "Done", "NoShow"] | None = (
        None
    )
    """Where the booking stands."""
    prewarm_at: Moment | None = None
    """When its capacity begins to be made."""
    ready_at: Moment | None = None
    """When its capacity was there."""
    reserved: AmountsShape | None = None
    """Capacity that is kept for it now."""
    actual_peak: AmountsShape | None = None
    """The most that it used."""
    conditions: list[Condition] = conditions()
    """Admitted, PrewarmReady and CapacityShort."""
