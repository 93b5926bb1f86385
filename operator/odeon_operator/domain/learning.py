"""What is learned from pods that start: how long it takes, and when not to try again yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from odeon_operator.domain.cold_start import ENOUGH, ColdStarts
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.starts import Backoff

PENDING_TOO_LONG = timedelta(seconds=60)
"""A pod without a node for so long counts as a failed start: a node is not bought faster, but more
pods would only buy more of them."""


@dataclass(frozen=True, slots=True)
class Learned:
    """What one pool's starts taught.

    Attributes:
        starting: uids of pods that were seen before they served; only those tell a cold start.
        troubled: uids of pods whose trouble was counted already.
        version: the template of which starts were counted as failed.
    """

    cold_starts: ColdStarts = field(default_factory=ColdStarts)
    backoff: Backoff = field(default_factory=Backoff)
    starting: frozenset[str] = frozenset()
    troubled: frozenset[str] = frozenset()
    version: str = ""


def resumed(p95_s: int, samples: int) -> ColdStarts:
    """What the operator before this one had learned, from a pool's status: its p95 is enough."""
    return ColdStarts((float(p95_s),) * min(samples, ENOUGH)) if p95_s > 0 else ColdStarts()


def learn(
    before: Learned, pods: Sequence[Pod], failed: Sequence[str], now: datetime, version: str = ""
) -> Learned:
    """Look at all pods of a pool once more.

    Args:
        before: what was learned until now.
        pods: as they are seen now.
        failed: uids of pods of the present template whose containers ended by a failure.
        now: the present.
        version: the present template. That another one failed says nothing of it.
    """
    cold_starts = before.cold_starts
    backoff = before.backoff if before.version == version else Backoff()
    served = False
    for pod in pods:
        if pod.uid in before.starting and pod.state in (PodState.READY, PodState.ALLOCATED):
            served = True
            cold_starts = cold_starts.learned((now - pod.created).total_seconds())
    troubled = {p.uid for p in pods if p.version == version and _troubled(p, now)}
    troubled |= set(failed)
    if served:
        backoff = Backoff()
    if troubled - before.troubled:
        backoff = backoff.failed(now)
    starting = frozenset(p.uid for p in pods if p.state is PodState.STARTING)
    return Learned(cold_starts, backoff, starting, frozenset(troubled), version)


def _troubled(pod: Pod, now: datetime) -> bool:
    if pod.state is not PodState.STARTING:
        return False
    return not pod.healthy or (not pod.node and now - pod.created > PENDING_TOO_LONG)
