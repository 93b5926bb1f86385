"""A pool and the policy that scales it, as the domain sees them."""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from odeon_operator.domain.amounts import Amount, Count
from odeon_operator.domain.behavior import Behavior
from odeon_operator.domain.bookings import EventsPolicy
from odeon_operator.domain.demand import Target
from odeon_operator.domain.fallback import Fallback
from odeon_operator.domain.limits import Budget
from odeon_operator.domain.prediction import Predictive
from odeon_operator.domain.rollout import UpdateStrategy
from odeon_operator.domain.rules import Rule
from odeon_operator.domain.selection import Scheduling


class ScalingMode(StrEnum):
    """Who says how many pods there should be."""

    POLICY = "Policy"
    MANUAL = "Manual"
    """`spec.replicas`, a person."""
    EXTERNAL = "External"
    """`spec.replicas`, an autoscaler through `/scale`."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool of like pods.

    Attributes:
        targets: what a pod carries, by metric; the one that needs most pods decides. The first is
            the unit that quotas and fair shares count in.
        hands_over: sessions of a draining pod move to others (edges) instead of ending in place.
        gpus_per_pod: GPUs that each pod takes; zero leaves placement to the scheduler.
        version: hash of the present template.
        replicas: wanted number when the mode is not `Policy`.
        update: how pods of older templates are replaced.
    """

    name: str
    least: int
    most: int
    targets: tuple[Target, ...]
    hands_over: bool = False
    gpus_per_pod: int = 0
    scheduling: Scheduling = Scheduling.PACKED
    version: str = ""
    mode: ScalingMode = ScalingMode.POLICY
    replicas: int | None = None
    update: UpdateStrategy = field(default_factory=UpdateStrategy)


@dataclass(frozen=True, slots=True)
class Policy:
    """How a pool scales.

    Attributes:
        stale_after: readings older than this are unknown.
        buffer: kept free beyond the load.
        pause_in, pause_out: never want fewer, never want more.
        dry_run: decide and record, touch nothing.
    """

    name: str = "default"
    stale_after: timedelta = timedelta(seconds=15)
    buffer: Amount = field(default_factory=lambda: Count(1))
    rules: tuple[Rule, ...] = ()
    events: EventsPolicy = field(default_factory=EventsPolicy)
    predictive: Predictive = field(default_factory=Predictive)
    behavior: Behavior = field(default_factory=Behavior)
    fallback: Fallback = field(default_factory=Fallback)
    budget: Budget = field(default_factory=Budget)
    pause_in: bool = False
    pause_out: bool = False
    dry_run: bool = False
