"""Which beacons count: what a viewer's page says is bounded, and has one effect."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from odeon_runtime.errors import InvalidArgument

MAX_BATCH = 100
"""A player that was offline for a quarter of an hour has fewer to tell."""
MAX_INTERVAL_MS = 120_000
"""Beacons come every ten seconds; no single one may claim more than two minutes."""
MAX_STARTUP_MS = 600_000
MAX_LATENCY_MS = 24 * 3_600_000
"""A viewer may sit anywhere in a day's recording."""
MAX_SEQUENCE = 2**53 - 1
MAX_TEXT = 200


class Kind(IntEnum):
    """What a beacon tells; the numbers of `odeon.analytics.v1.Beacon.Kind`."""

    START_REQUESTED = 1
    FIRST_FRAME = 2
    HEARTBEAT = 3
    STALL_BEGAN = 4
    STALL_ENDED = 5
    RENDITION_CHANGED = 6
    ERROR = 7
    ENDED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Beacon:
    """One accepted beacon.

    Attributes:
        tenant, event, session: whose it is; with `sequence` they name it for ever.
        sequence: unique within the session.
        at_us: when it was received, Unix microseconds: players' clocks prove nothing.
        kind: what it tells.
        watched_ms, stalled_ms: since the session's last beacon.
        startup_ms: start requested → first frame, with FIRST_FRAME.
        latency_ms: behind live, as the player estimates it.
        protocol: "hls" or "whep".
        rendition: what plays.
        error: with ERROR.
    """

    tenant: str
    event: str
    session: str
    sequence: int
    at_us: int
    kind: Kind
    watched_ms: int = 0
    stalled_ms: int = 0
    startup_ms: int = 0
    latency_ms: int = 0
    protocol: str = "hls"
    rendition: str = ""
    error: str = ""


def check_batch(beacons: Sequence[Beacon]) -> None:
    """Refuse a batch that no player of ours would send.

    Raises:
        InvalidArgument: too many at once, or one says something impossible.
    """
    if len(beacons) > MAX_BATCH:
        raise InvalidArgument(field="beacons", problem=f"at most {MAX_BATCH} at once")
    for index, beacon in enumerate(beacons):
        _check(beacon, f"beacons[{index}]")


def _check(beacon: Beacon, where: str) -> None:
    bounds = {
        "sequence": (beacon.sequence, MAX_SEQUENCE),
        "watched": (beacon.watched_ms, MAX_INTERVAL_MS),
        "stalled": (beacon.stalled_ms, MAX_INTERVAL_MS),
        "startup": (beacon.startup_ms, MAX_STARTUP_MS),
        "latency": (beacon.latency_ms, MAX_LATENCY_MS),
    }
    for name, (value, most) in bounds.items():
        if not 0 <= value <= most:
            raise InvalidArgument(field=f"{where}.{name}", problem=f"must be between 0 and {most}")
    if beacon.protocol not in ("hls", "whep"):
        raise InvalidArgument(field=f"{where}.protocol", problem="must be hls or whep")
    for name, text in (("rendition", beacon.rendition), ("error", beacon.error)):
        if len(text) > MAX_TEXT:
            raise InvalidArgument(field=f"{where}.{name}", problem=f"at most {MAX_TEXT} characters")
