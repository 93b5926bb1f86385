"""The gap list: what a viewer of the recording will miss, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from odeon_recorder.domain.records import GapReason
from odeon_recorder.domain.timeline import FRAME_NS, Timeline
from odeon_recorder.domain.track import Track


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of the event's clock that a track does not have."""

    start_ns: int
    duration_ns: int
    first_msn: int
    reason: GapReason

    @property
    def end_ns(self) -> int:
        """Where the track goes on."""
        return self.start_ns + self.duration_ns


def gaps_of(timeline: Timeline, track: Track) -> list[Gap]:
    """All gaps of a track in order, touching ones of one reason joined."""
    merged: list[Gap] = []
    for gap in _raw(timeline, track):
        last = merged[-1] if merged else None
        if last and last.reason is gap.reason and gap.start_ns - last.end_ns <= FRAME_NS:
            merged[-1] = Gap(last.start_ns, gap.end_ns - last.start_ns, last.first_msn, last.reason)
        else:
            merged.append(gap)
    return merged


def _raw(timeline: Timeline, track: Track) -> Iterator[Gap]:
    reached = 0
    for segment in track.segments:
        if segment.start_ns - reached > FRAME_NS:
            same_epoch = segment.gap is GapReason.RUNG_STOPPED
            reason = GapReason.RUNG_STOPPED if same_epoch else GapReason.TAKE_OVER
            yield Gap(reached, segment.start_ns - reached, segment.msn, reason)
        if segment.gap is not None:
            yield Gap(segment.start_ns, segment.duration_ns, segment.msn, segment.gap)
        reached = max(reached, segment.end_ns)
    if timeline.ended_ms is not None and timeline.end_ns - reached > FRAME_NS:
        yield Gap(reached, timeline.end_ns - reached, track.next_msn, GapReason.LOST)
