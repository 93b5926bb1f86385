"""The life of a pool's pod: starting → ready → allocated → draining → gone.

```
 STARTING ──report──► READY ◄──work ends / comes──► ALLOCATED
     │                  │                               │
     └────────────── drain asked ──► DRAINING ◄─────────┘   undrained: back to where it was
                                        │ acknowledged, then two readings of zero
                                        ▼
                                      GONE
```
A pod is deleted only out of DRAINING: it acknowledged the drain (its pulls for work are cancelled),
and two fresh readings that obey this very drain found no session and no promise. They name it, so
neither clocks nor the order in which messages arrive matter. Any doubt keeps the pod.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from odeon_runtime.errors import DomainError

from odeon_operator.domain.nodes import Notice
from odeon_operator.domain.reports import Report, fresh


class PodState(StrEnum):
    """Where a pod is in its life; the value of its `state` label."""

    STARTING = "starting"
    READY = "ready"
    ALLOCATED = "allocated"
    DRAINING = "draining"
    GONE = "gone"


class Doubt(StrEnum):
    """Why a pod may not be deleted."""

    NOT_DRAINING = "it is not draining"
    NOT_ACKNOWLEDGED = "it has not acknowledged the drain"
    TOO_FEW_READINGS = "fewer than two readings that obey this drain"
    STALE = "its last reading is too old"
    BUSY = "it has live or promised work"


class PodTransitionRefused(DomainError):
    """A pod cannot go from its state by this step."""

    reason = "POD_TRANSITION_REFUSED"

    def __init__(self, pod: str, state: PodState, step: str) -> None:
        super().__init__(f"pod {pod} is {state}: {step}", pod=pod, state=state.value, step=step)


@dataclass(frozen=True, slots=True)
class Pod:
    """What the operator knows of one pod of a pool.

    Attributes:
        name: deterministic, `pool-generation-index`.
        uid: of the API object; reports and drain records are keyed by it, so that a pod of the
            same name created later inherits nothing.
        index: its place in the pool; starts take the lowest free ones.
        created: when the API accepted it.
        version: hash of the template it was made from.
        node: empty until it is scheduled.
        healthy: false while its container crashes or its node is lost.
        inert: no container of it runs: each waits to be started, or to be started once more.
        report: the last reading; `earlier` is the one before.
        drain_asked: since when it takes no new work; `drain_acked`: since when it confirmed that.
        handing_over: it was told to give its work to others.
        notice: why it has to leave its node.
    """

    name: str
    uid: str
    index: int
    state: PodState
    created: datetime
    version: str = ""
    node: str = ""
    healthy: bool = True
    inert: bool = False
    report: Report | None = None
    earlier: Report | None = None
    drain_asked: datetime | None = None
    drain_acked: datetime | None = None
    handing_over: bool = False
    notice: Notice | None = None

    @property
    def standing(self) -> bool:
        """It takes work, or will once it has started."""
        return self.state in (PodState.STARTING, PodState.READY, PodState.ALLOCATED)

    @property
    def never_ran(self) -> bool:
        """No container of it was ever started: it is not on a node, and nothing was heard of it."""
        waiting = self.state in (PodState.STARTING, PodState.DRAINING)
        return waiting and not self.node and self.report is None


def reported(pod: Pod, report: Report) -> Pod:
    """Take a reading. A repeated or late one changes nothing."""
    if pod.state is PodState.GONE or (pod.report is not None and report.at <= pod.report.at):
        return pod
    state = pod.state if pod.state is PodState.DRAINING else _working(report)
    return replace(pod, report=report, earlier=pod.report, state=state)


def drain_asked(pod: Pod, now: datetime) -> Pod:
    """The drain record was written: it takes no new work. Asking again changes nothing.

    Raises:
        PodTransitionRefused: the pod is gone.
    """
    if pod.state is PodState.GONE:
        raise PodTransitionRefused(pod.name, pod.state, "drain")
    if pod.state is PodState.DRAINING:
        return pod
    return replace(pod, state=PodState.DRAINING, drain_asked=now, drain_acked=None)


def drain_acked(pod: Pod, now: datetime) -> Pod:
    """The pod cancelled its pulls and said so. A repeated acknowledgement keeps the first time.

    Raises:
        PodTransitionRefused: nobody asked it to drain.
    """
    if pod.state is not PodState.DRAINING:
        raise PodTransitionRefused(pod.name, pod.state, "acknowledge a drain")
    return pod if pod.drain_acked is not None else replace(pod, drain_acked=now)


def undrained(pod: Pod) -> Pod:
    """The drain record was deleted; also an acknowledged pod takes work again.

    Raises:
        PodTransitionRefused: it is not draining.
    """
    if pod.state is not PodState.DRAINING:
        raise PodTransitionRefused(pod.name, pod.state, "undrain")
    return replace(pod, state=_working(pod.report), drain_asked=None, drain_acked=None)


def restarted(pod: Pod) -> Pod:
    """Its container started anew: it forgot its acknowledgement, and old readings say nothing.

    The drain record outlives a restart (it has no TTL), so a draining pod stays draining.
    """
    if pod.state is PodState.GONE:
        return pod
    state = pod.state if pod.state is PodState.DRAINING else PodState.STARTING
    return replace(pod, state=state, report=None, earlier=None, drain_acked=None)


def gone(pod: Pod) -> Pod:
    """The API object is deleted. Nothing follows."""
    return replace(pod, state=PodState.GONE)


def why_keep(pod: Pod, *, now: datetime, stale_after: timedelta) -> Doubt | None:
    """Why a pod may not be deleted; None when it may.

    A pod that never ran holds nothing and needs no acknowledgement: deleting it with the
    resourceVersion as precondition fails if it was scheduled meanwhile. Neither can one acknowledge
    in which no container runs, because they crash or cannot start: whatever starts then finds the
    drain before it claims.
    """
    if pod.never_ran:
        return None
    if pod.state is not PodState.DRAINING:
        return Doubt.NOT_DRAINING
    heard = pod.report is not None and fresh(pod.report.at, now=now, stale_after=stale_after)
    if pod.inert and pod.drain_asked is not None and not heard:
        return None
    if any(r is not None and not r.idle for r in (pod.report, pod.earlier)):
        return Doubt.BUSY
    if pod.drain_acked is None:
        return Doubt.NOT_ACKNOWLEDGED
    if pod.report is None or pod.earlier is None:
        return Doubt.TOO_FEW_READINGS
    if pod.report.obeys != pod.drain_asked or pod.earlier.obeys != pod.drain_asked:
        return Doubt.TOO_FEW_READINGS
    if not fresh(pod.report.at, now=now, stale_after=stale_after):
        return Doubt.STALE
    return None


def _working(report: Report | None) -> PodState:
    if report is None:
        return PodState.STARTING
    return PodState.READY if report.idle else PodState.ALLOCATED
