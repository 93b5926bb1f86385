"""What is wanted while the load is unknown. None of it stops a pod."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class FallbackBehavior(StrEnum):
    """KEDA's words, with one promise more: whatever they say, no pod is drained on stale data."""

    HOLD = "Hold"
    """Keep the number that was wanted last; a pod that is lost is replaced."""
    STATIC = "Static"
    """Want `replicas`: start up to it; a pod above it that is lost is not replaced."""
    CURRENT_IF_HIGHER = "CurrentIfHigher"
    """Want `replicas`, or the number that was wanted last if it is higher."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What to do when nothing was known for `after`; until then, hold."""

    after: timedelta = timedelta(seconds=180)
    behavior: FallbackBehavior = FallbackBehavior.HOLD
    replicas: int = 0

    def due(self, unknown_since: datetime | None, now: datetime) -> bool:
        """Whether holding has lasted long enough."""
        return unknown_since is not None and now - unknown_since >= self.after


def in_the_dark(fallback: Fallback, *, due: bool, current: int, standing: int) -> int:
    """Pods to want while the load is unknown; never fewer than stand."""
    if not due or fallback.behavior is FallbackBehavior.HOLD:
        return max(current, standing)
    if fallback.behavior is FallbackBehavior.STATIC:
        return max(fallback.replicas, standing)
    return max(fallback.replicas, current, standing)
