"""Bounds of a pool and budgets of a policy: what no demand may exceed."""

from dataclasses import dataclass
from enum import StrEnum


class OnExceed(StrEnum):
    """What a budget does when it is reached."""

    WARN = "Warn"
    CAP = "Cap"


@dataclass(frozen=True, slots=True)
class Budget:
    """What a pool may cost.

    Attributes:
        max_replicas: pods.
        max_gpu_hours_per_day: GPU-hours in a day; when they are used up the pool grows no more.
            Nothing live is stopped for it.
    """

    max_replicas: int | None = None
    max_gpu_hours_per_day: float | None = None
    on_exceed: OnExceed = OnExceed.CAP


@dataclass(frozen=True, slots=True)
class Limit:
    """Who or what was given less than it asked for, and by what.

    Attributes:
        who: a pool or a tenant.
        by: the field or fact that limited it.
        asked, granted: pods for a pool, units for a tenant.
    """

    who: str
    by: str
    asked: int
    granted: int


@dataclass(frozen=True, slots=True)
class Bounds:
    """The fewest and the most pods that a pool may want, and what set each."""

    least: int
    most: int
    most_by: str
    warned: tuple[str, ...] = ()


def bounds(
    *, least: int, most: int, budget: Budget, gpu_hours_today: float | None, current: int
) -> Bounds:
    """Combine a pool's bounds with a budget. A ceiling wins over a floor: money was a decision.

    GPU-hours that are not known cap nothing and are said to be unknown.
    """
    ceilings = [(most, "maxReplicas")]
    exceeded: list[tuple[int, str]] = []
    warned: list[str] = []
    if budget.max_replicas is not None:
        exceeded.append((budget.max_replicas, "budget.maxReplicas"))
    if budget.max_gpu_hours_per_day is not None:
        if gpu_hours_today is None:
            warned.append("budget.maxGpuHoursPerDay: GPU-hours of today are unknown")
        elif gpu_hours_today >= budget.max_gpu_hours_per_day:
            exceeded.append((current, "budget.maxGpuHoursPerDay"))
    if budget.on_exceed is OnExceed.CAP:
        ceilings += exceeded
    else:
        warned += [f"{by}: above {cap} pods" for cap, by in exceeded]
    top, by = min(ceilings, key=lambda c: c[0])
    return Bounds(min(least, top), top, by, tuple(warned))
