"""Placement: which signaling node holds an event's stage.

An event stays where it is while its node is sound; everybody of an event must meet. A node is sound
while its heartbeats are fresh, it does not drain, and the prober gets media through it. One that is
cordoned keeps what it has and gets nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from odeon_runtime.errors import DomainError, Kind

REPORT_INTERVAL_S = 2.0
FRESH_S = 6.0
"""Three heartbeats may be missed."""
FAILURES_OUT = 2
"""Probes in a row that fail before a node is out. The prober asks every 5 s and gives up after
5 s, so a node that goes bad right after a good probe is out after 20 s at the latest; one lost
probe alone moves nobody."""
UNKNOWN_LOAD = 0.5
"""What an unknown load counts as: neither idle (everybody would go there) nor full."""
_LOAD_STEP = 0.1
"""Loads closer than this are equal: a measured value wobbles."""


class NoNodeAvailable(DomainError):
    """No signaling node can take an event now."""

    kind = Kind.UNAVAILABLE
    reason = "NO_NODE_AVAILABLE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A signaling node as it reported itself, and what the prober found.

    Attributes:
        cpu_load: 0 to 1 of one core; None when unknown.
        draining: it stops: its events move.
        cordoned: it will be replaced when its events are over.
        probe_failures: probes in a row that failed.
    """

    id: str
    grpc_address: str
    media_addresses: tuple[str, ...] = ()
    sessions: int = 0
    cpu_load: float | None = None
    draining: bool = False
    cordoned: bool = False
    heartbeat_time: datetime
    probe_time: datetime | None = None
    probe_ok: bool = False
    probe_error: str = ""
    probe_failures: int = 0


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node as placement sees it.

    Attributes:
        silent_s: how long no heartbeat came, in seconds.
        events: how many events it holds.
        heard_s: how long we have been listening, in seconds; a silence says nothing about a node
            while it is our own.
    """

    node: Node
    silent_s: float
    events: int = 0
    heard_s: float = float("inf")

    @property
    def eligible(self) -> bool:
        """Whether placement may send an event there."""
        return self._sound and not self.node.cordoned and self.silent_s <= FRESH_S

    @property
    def keeps(self) -> bool:
        """Whether an event that is there may stay."""
        return self._sound and min(self.silent_s, self.heard_s) <= FRESH_S

    @property
    def _sound(self) -> bool:
        return not self.node.draining and self.node.probe_failures < FAILURES_OUT


def reported(node: Node, known: Node | None) -> Node:
    """The node as it reports itself now, with what the prober found before."""
    if known is None:
        return node
    return replace(
        node,
        probe_time=known.probe_time,
        probe_ok=known.probe_ok,
        probe_error=known.probe_error,
        probe_failures=known.probe_failures,
    )


def probed(node: Node, *, ok: bool, error: str, now: datetime) -> Node:
    """The node after a probe: one that passes clears all that failed before."""
    return replace(
        node,
        probe_time=now,
        probe_ok=ok,
        probe_error="" if ok else error[:200],
        probe_failures=0 if ok else node.probe_failures + 1,
    )


def choose(candidates: Sequence[Candidate], current: str) -> Node:
    """The node for an event that is now on `current` (empty for none).

    Raises:
        NoNodeAvailable: none is eligible.
    """
    for candidate in candidates:
        if candidate.node.id == current and candidate.keeps:
            return candidate.node
    eligible = [c for c in candidates if c.eligible]
    if not eligible:
        raise NoNodeAvailable("no signaling node can take the event", retry_after_s=2.0)
    return min(eligible, key=_burden).node


def _burden(candidate: Candidate) -> tuple[int, int, int, str]:
    load = candidate.node.cpu_load
    known = UNKNOWN_LOAD if load is None or not 0 <= load <= 64 else load
    return (int(known / _LOAD_STEP), candidate.events, candidate.node.sessions, candidate.node.id)


def load_from_wire(value: float) -> float | None:
    """A reported load; below zero or no number means unknown."""
    return value if value >= 0 else None


def by_id(candidates: Sequence[Candidate]) -> Mapping[str, Candidate]:
    """Candidates by node id."""
    return {c.node.id: c for c in candidates}
