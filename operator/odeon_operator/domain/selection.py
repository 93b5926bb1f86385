"""Which pods: to take back, to create, to drain, to delete.

A pod with live or promised work is never deleted, and in a pool whose sessions cannot move
(transcoders) it is not drained either. Edges hand viewers over before they drain, so there the
emptiest may be asked.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from odeon_operator.domain.pods import Pod, PodState, why_keep
from odeon_operator.domain.reports import fresh


class Scheduling(StrEnum):
    """In which order idle pods go."""

    PACKED = "Packed"
    """From the emptiest node first, so that nodes become free."""
    DISTRIBUTED = "Distributed"
    """The newest first."""


@dataclass(frozen=True, slots=True)
class Actions:
    """What to do now. Pods are named by uid, indexes are of pods to create."""

    start: tuple[int, ...] = ()
    undrain: tuple[str, ...] = ()
    drain: tuple[str, ...] = ()
    hand_over: tuple[str, ...] = ()
    delete: tuple[str, ...] = ()


def to_undrain(pods: Sequence[Pod], missing: int, *, version: str | None) -> tuple[str, ...]:
    """Draining pods to take back, quicker than any start: those with most work first.

    Args:
        pods: all of the pool.
        missing: how many would help.
        version: the template that they must be of; None: any.
    """
    able = [
        p
        for p in pods
        if p.state is PodState.DRAINING
        and p.healthy
        and p.notice is None
        and version in (None, p.version)
    ]
    able.sort(key=lambda p: (-_sessions(p), p.drain_acked is not None, p.index))
    return tuple(p.uid for p in able[: max(0, missing)])


def to_start(pods: Sequence[Pod], count: int) -> tuple[int, ...]:
    """The lowest indexes that no pod has; a draining pod keeps its own until it is gone."""
    taken = {p.index for p in pods if p.state is not PodState.GONE}
    found: list[int] = []
    index = 0
    while len(found) < count:
        if index not in taken:
            found.append(index)
        index += 1
    return tuple(found)


def to_drain(
    pods: Sequence[Pod],
    count: int,
    *,
    scheduling: Scheduling,
    version: str,
    hands_over: bool,
    now: datetime,
    stale_after: timedelta,
) -> tuple[str, ...]:
    """Pods to drain, those that are missed least first. Fewer than asked where others have work."""
    able = [
        p
        for p in pods
        if p.standing and _may_drain(p, hands_over=hands_over, now=now, stale_after=stale_after)
    ]
    on_node = _sessions_by_node(pods)

    def rank(pod: Pod) -> tuple[object, ...]:
        age = (-pod.created.timestamp(), -pod.index)
        place = (on_node[pod.node], pod.node) if scheduling is Scheduling.PACKED else ()
        useful = (pod.healthy, pod.version == version, pod.state is not PodState.STARTING)
        return (
            pod.state is PodState.ALLOCATED,
            *useful,
            bool(pod.node),
            _sessions(pod),
            place,
            age,
        )

    return tuple(p.uid for p in sorted(able, key=rank)[: max(0, count)])


def to_delete(
    pods: Sequence[Pod], *, kept: Sequence[str], now: datetime, stale_after: timedelta
) -> tuple[str, ...]:
    """Draining pods that are proven empty, less those that are taken back now."""
    return tuple(
        p.uid
        for p in pods
        if p.state is PodState.DRAINING
        and p.uid not in kept
        and why_keep(p, now=now, stale_after=stale_after) is None
    )


def _may_drain(pod: Pod, *, hands_over: bool, now: datetime, stale_after: timedelta) -> bool:
    if pod.state is PodState.STARTING:
        return pod.report is None or pod.report.idle
    known = pod.report is not None and fresh(pod.report.at, now=now, stale_after=stale_after)
    return known and (hands_over or (pod.state is PodState.READY and _sessions(pod) == 0))


def _sessions(pod: Pod) -> int:
    return pod.report.sessions + pod.report.reserved if pod.report is not None else 0


def _sessions_by_node(pods: Sequence[Pod]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for pod in pods:
        totals[pod.node] = totals.get(pod.node, 0) + _sessions(pod)
    return totals
