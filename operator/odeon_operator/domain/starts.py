"""How many missing pods to create now: only what can run, and ever more patiently if nothing does.

A GPU node is Ready about 90 s before its GPUs can be allocated, and pods placed meanwhile die
(NVIDIA/k8s-device-plugin#291); a cluster autoscaler buys a node for every pending pod it sees. So
pods beyond what is allocatable now are few, and after a failure the next try waits.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

FIRST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(minutes=10)
MAX_PENDING = 4
"""Pods that may wait for capacity that is not there yet; each may cost a node."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often starting failed in a row, and when it may be tried again."""

    failures: int = 0
    until: datetime | None = None

    def failed(self, now: datetime) -> "Backoff":
        """Another pod died or stayed pending: wait twice as long as last time."""
        # The exponent is bounded, or it would overflow after a weekend of failures.
        wait = min(FIRST_WAIT * 2 ** min(self.failures, 10), LONGEST_WAIT)
        return Backoff(self.failures + 1, now + wait)

    def waits(self, now: datetime) -> bool:
        """Whether it is too early to try again."""
        return self.until is not None and now < self.until


@dataclass(frozen=True, slots=True)
class Room:
    """What the cluster can take.

    Attributes:
        free: pods of the pool that would be scheduled at once: allocatable GPUs (not those of the
            node's type) less those in use. None: not known.
        limited: whether it matters; pods without a GPU are for the scheduler to place.
        backoff: of this pool.
    """

    free: int | None = None
    limited: bool = False
    backoff: Backoff = Backoff()


@dataclass(frozen=True, slots=True)
class Allowed:
    """How many pods to create, and what kept it from being all."""

    pods: int
    by: str | None = None


def allowed(
    missing: int, *, starting: int, pending: int, max_surge: int | None, room: Room, now: datetime
) -> Allowed:
    """How many of the missing pods to create now.

    Args:
        missing: pods wanted and not there.
        starting: pods created that do not serve yet, pending ones among them.
        pending: pods that no node has taken yet.
        max_surge: at most so many starting at once.
        room: what the cluster can take.
        now: the present.
    """
    ceilings: list[tuple[int, str | None]] = [(missing, None)]
    if max_surge is not None:
        ceilings.append((max_surge - starting, "scaleOut.maxSurge"))
    waits = room.backoff.waits(now)
    if room.limited:
        patience = 0 if waits else MAX_PENDING if room.free is not None else 1
        ceilings.append(((room.free or 0) + patience - pending, "allocatable GPUs"))
    elif waits:
        ceilings.append((0, "back-off"))
    pods, by = min(ceilings, key=lambda c: c[0])
    return Allowed(max(0, pods), by)
