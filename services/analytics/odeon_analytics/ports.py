"""What analytics needs of a store: SQLite, chDB and ClickHouse, proven by one suite."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from odeon_runtime.errors import DomainError, Kind

from odeon_analytics.domain.audience import Sessions
from odeon_analytics.domain.beacons import Beacon
from odeon_analytics.domain.egress import Counter


class StoreUnavailable(DomainError):
    """The store does not answer; nothing is known to be kept, repeating is safe."""

    kind = Kind.UNAVAILABLE
    reason = "STORE_UNAVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One envelope from NATS, as kept.

    Attributes:
        id: the envelope's; a fact that comes again has no further effect.
        event: event id, or "" where the fact is not about one.
        kind: field name in the envelope, e.g. "event_state_changed".
        at_us: when it happened, Unix microseconds.
        body: the fact as JSON.
    """

    id: str
    tenant: str
    event: str
    kind: str
    at_us: int
    body: str


class Store(Protocol):
    """Facts and beacons. Writes are idempotent; every read starts with the tenant."""

    async def __aenter__(self) -> Self:
        """Open it and make its tables."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        ...

    async def add_beacons(self, beacons: Sequence[Beacon]) -> None:
        """Keep beacons; those kept already change nothing. Raises StoreUnavailable."""
        ...

    async def add_facts(self, facts: Sequence[Fact]) -> None:
        """Keep facts; those kept already change nothing. Raises StoreUnavailable."""
        ...

    async def put_counters(self, counters: Sequence[Counter]) -> None:
        """Replace egress counters. Raises StoreUnavailable."""
        ...

    async def counters(self) -> Sequence[Counter]:
        """The counters of each edge's and event's newest run."""
        ...

    async def egress_bytes(self, tenant: str, event: str) -> int:
        """Bytes that the edges sent for an event."""
        ...

    async def note_peak(self, tenant: str, event: str, viewers: int) -> None:
        """Remember the audience if it was never greater."""
        ...

    async def peak(self, tenant: str, event: str) -> int:
        """The greatest audience noted."""
        ...

    async def sessions(self, tenant: str, event: str, *, now_us: int) -> Sessions:
        """What the beacons of an event add up to."""
        ...
