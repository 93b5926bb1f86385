"""How much load there is, in units of each metric that a pool scales on, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction
from math import fsum

from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Metric, fresh


@dataclass(frozen=True, slots=True)
class Target:
    """One thing to scale on.

    Attributes:
        metric: what is counted.
        per_pod: units that one pod carries.
    """

    metric: Metric
    per_pod: Fraction


@dataclass(frozen=True, slots=True)
class Observation:
    """A number from outside the pool (an external metric) and when it was read."""

    value: float
    at: datetime


class Certainty(StrEnum):
    """How well the load is known."""

    KNOWN = "known"
    PARTIAL = "partial"
    """Some of it is not: what is known may start pods, nothing may stop one."""
    UNKNOWN = "unknown"
    """None of it is: hold, and after a while do what the policy's fallback says."""


@dataclass(frozen=True, slots=True)
class Load:
    """What the pods carry now.

    Attributes:
        units: by metric, in the order of the targets. For pods not heard of lately it holds what
            they said
            last: the best there is, never an invented extreme.
        silent: names of pods that serve and were not heard of lately.
    """

    units: tuple[tuple[Metric, Fraction], ...]
    certainty: Certainty
    silent: tuple[str, ...] = ()

    def of(self, metric: Metric) -> Fraction:
        """Units of one metric."""
        return dict(self.units)[metric]


def measure(
    pods: Sequence[Pod],
    targets: Sequence[Target],
    external: Observation | None,
    *,
    hands_over: bool,
    now: datetime,
    stale_after: timedelta,
) -> Load:
    """Add up what pods reported.

    Draining pods count where their sessions will move to others (`hands_over`, edges, and any pod
    whose node goes away); where sessions end in place (transcoders) they need no room elsewhere.
    Starting pods carry nothing and know nothing.
    """
    heard = {
        p.uid
        for p in pods
        if p.report is not None and fresh(p.report.at, now=now, stale_after=stale_after)
    }
    # A pod that the API server knows to be broken says nothing of the others by its silence.
    serving = [
        p for p in pods if _counts(p, hands_over=hands_over) and (p.healthy or p.uid in heard)
    ]
    silent = tuple(p.name for p in serving if p.uid not in heard)
    known_outside = external is not None and fresh(external.at, now=now, stale_after=stale_after)
    units: list[tuple[Metric, Fraction]] = []
    unknown = bool(serving) and len(silent) == len(serving)
    partial = bool(silent)
    for target in targets:
        if target.metric is Metric.EXTERNAL:
            unknown, partial = unknown or not known_outside, partial or not known_outside
            value = Fraction(external.value) if external is not None else Fraction(0)
        else:
            # fsum rounds once, whatever the order: more on one pod is never less in all.
            value = Fraction(fsum(p.report.load(target.metric) for p in serving if p.report))
        units.append((target.metric, value))
    sure = Certainty.PARTIAL if partial else Certainty.KNOWN
    return Load(tuple(units), Certainty.UNKNOWN if unknown else sure, silent)


def _counts(pod: Pod, *, hands_over: bool) -> bool:
    if pod.state is PodState.DRAINING:
        # One that only started when its node was given up has nothing to move.
        leaves = pod.notice is not None and pod.report is not None
        return (hands_over or leaves) and not pod.never_ran
    return pod.state in (PodState.READY, PodState.ALLOCATED)
