"""What pods say about their load, and when it is too old to be believed.

Unknown is not zero and not infinity: it never lets a pod go and never asks for one.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import isfinite

from odeon_runtime.errors import InvalidArgument


class Metric(StrEnum):
    """What a pool scales on."""

    ACTIVE_TRANSCODES = "ActiveTranscodes"
    VIEWERS = "Viewers"
    EGRESS_MBPS = "EgressMbps"
    EXTERNAL = "External"


@dataclass(frozen=True, slots=True)
class Report:
    """One reading of one pod.

    Attributes:
        at: when the operator received it; its own clock, so that pods' clocks do not matter.
        sessions: live work that deleting the pod would cut (jobs, viewers).
        reserved: work promised to the pod and not started yet.
        slots: slots used and reserved; a job may cost more or less than one.
        viewers: connected viewers.
        egress_mbps: megabits per second sent to viewers.
        obeys: the drain that the pod obeyed when it wrote this, by the time at which that was
            asked; None while it takes work. So a reading that was long on its way proves nothing of
            a later drain.
    """

    at: datetime
    sessions: int = 0
    reserved: int = 0
    slots: float = 0.0
    viewers: int = 0
    egress_mbps: float = 0.0
    obeys: datetime | None = None

    def __post_init__(self) -> None:
        """A number that cannot be is refused; the caller keeps the pod as unknown."""
        for field in ("sessions", "reserved", "slots", "viewers", "egress_mbps"):
            value = getattr(self, field)
            if not isfinite(value) or value < 0:
                raise InvalidArgument(field=field, problem=f"{value} cannot be")

    @property
    def idle(self) -> bool:
        """Nothing is running and nothing is promised."""
        return self.sessions == 0 and self.reserved == 0

    def load(self, metric: Metric) -> float:
        """Load in units of a metric; an external metric is not the pod's to know."""
        match metric:
            case Metric.ACTIVE_TRANSCODES:
                return self.slots
            case Metric.VIEWERS:
                return self.viewers
            case Metric.EGRESS_MBPS:
                return self.egress_mbps
            case Metric.EXTERNAL:
                return 0.0


def fresh(at: datetime | None, *, now: datetime, stale_after: timedelta) -> bool:
    """Whether what was said at a moment still counts; never said is not fresh."""
    return at is not None and now - at <= stale_after
