"""Who may act: a Lease as client-go's leader election reads it, without trusting others' clocks.

A holder counts as gone when its record has not changed for the record's own duration *by our own
monotonic clock*; what times it wrote does not matter (client-go `tools/leaderelection`).
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Terms:
    """Times of a lease in seconds.

    Attributes:
        duration: so long after its last renewal others keep off.
        deadline: so long a holder that cannot renew still acts; less than `duration`, so that it
            has stopped before another starts.
        retry: between attempts.
    """

    duration: float = 15.0
    deadline: float = 10.0
    retry: float = 2.0


@dataclass(frozen=True, slots=True)
class Record:
    """A lease as it stands. An empty holder gave it back."""

    holder: str
    duration: float
    revision: str
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Watch:
    """What one candidate has seen of the lease.

    Attributes:
        record: None while there is none.
        since: when it was first seen as it stands, seconds of the monotonic clock.
    """

    record: Record | None = None
    since: float = 0.0

    def seen(self, record: Record | None, now: float) -> "Watch":
        """After a look. Any change, its revision for one, is a sign of life."""
        return self if record == self.record else replace(self, record=record, since=now)

    def may_take(self, me: str, now: float) -> bool:
        """Whether the lease may be taken, or taken again after a restart under the same name."""
        if self.record is None or self.record.holder in ("", me):
            return True
        return now - self.since >= self.record.duration
