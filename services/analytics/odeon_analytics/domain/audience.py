"""What an event's audience adds up to."""

import math
from dataclasses import dataclass

SESSION_WINDOW_US = 25_000_000
"""A session without a beacon for this long is over: players send one every ten seconds, so two may
get lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What a store knows of the player sessions of one event.

    Attributes:
        seen: sessions in all.
        hls_now, other_now: sessions that are open now, by protocol.
        peak: most sessions open at once.
        watched_ms, stalled_ms: summed over all sessions.
        starts: sessions that asked to start.
        exits_before_start: of those, the ones that went before their first frame.
        startup_p50_ms, startup_p95_ms: of sessions with a first frame; None without any.
        errors: beacons of that kind.
    """

    seen: int = 0
    hls_now: int = 0
    other_now: int = 0
    peak: int = 0
    watched_ms: int = 0
    stalled_ms: int = 0
    starts: int = 0
    exits_before_start: int = 0
    startup_p50_ms: int | None = None
    startup_p95_ms: int | None = None
    errors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What the edges know of one event.

    Attributes:
        viewers_now: sessions that asked an edge for something lately.
        peak_viewers: most audience at once, as sampled.
        egress_bytes: sent to viewers since the event began.
    """

    viewers_now: int = 0
    peak_viewers: int = 0
    egress_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Audience and quality of an event."""

    concurrent: int
    peak: int
    unique: int
    watched_ms: int
    startup_p50_ms: int | None
    startup_p95_ms: int | None
    rebuffer_ratio: float
    exit_before_start_ratio: float
    errors: int
    egress_bytes: int


def concurrent_viewers(sessions: Sessions, delivery: Delivery) -> int:
    """Who watches now.

    Every HLS viewer asks an edge, but only players of ours send beacons; WHEP viewers ask no edge.
    """
    return max(delivery.viewers_now, sessions.hls_now) + sessions.other_now


def add_up(sessions: Sessions, delivery: Delivery) -> Figures:
    """The figures of an event from both sources."""
    concurrent = concurrent_viewers(sessions, delivery)
    return Figures(
        concurrent=concurrent,
        peak=max(sessions.peak, delivery.peak_viewers, concurrent),
        unique=sessions.seen,
        watched_ms=sessions.watched_ms,
        startup_p50_ms=sessions.startup_p50_ms,
        startup_p95_ms=sessions.startup_p95_ms,
        rebuffer_ratio=ratio(sessions.stalled_ms, sessions.stalled_ms + sessions.watched_ms),
        exit_before_start_ratio=ratio(sessions.exits_before_start, sessions.starts),
        errors=sessions.errors,
        egress_bytes=delivery.egress_bytes,
    )


def ratio(part: int, whole: int) -> float:
    """Share of the whole, 0 when there is nothing."""
    return part / whole if whole > 0 else 0.0


def rank(count: int, share: float) -> int:
    """Nearest rank: index (from 0) of the percentile `share` among `count` ordered samples."""
    return max(0, math.ceil(share * count) - 1)
