"""One rendition of a timeline: closed segments, the open one, what may come next."""

from dataclasses import dataclass, field

from odeon_recorder.domain.records import (
    GapReason,
    InitStored,
    Part,
    PartStored,
    Segment,
    TrackSpec,
    pack,
)
from odeon_recorder.domain.refusals import OutOfOrder, PartInvalid, SegmentClosed

MIN_PART_SHARE = 0.85
"""RFC 8216bis 4.4.4.9: a part is at least 85 % of the target unless it is its segment's last."""
MIN_GAP_NS = 1_000_000
"""A segment lasts more than nothing, even a gap after one that ended late."""


@dataclass(slots=True)
class OpenSegment:
    """The segment that grows. Its parts carry no epoch of their own: a segment has one."""

    msn: int
    epoch: int
    start_ns: int
    parts: list[Part] = field(default_factory=list)
    duration_ns: int = 0
    size: int = 0

    def add(self, part: Part) -> None:
        """Append a part."""
        self.parts.append(part)
        self.duration_ns += part.duration_ns
        self.size += part.size


@dataclass(slots=True)
class Track:
    """A track's log. Segment `n` of `segments` has media sequence number `n`."""

    spec: TrackSpec
    segments: list[Segment] = field(default_factory=list)
    open: OpenSegment | None = None
    inits: dict[int, InitStored] = field(default_factory=dict)
    archived: dict[int, bytes] = field(default_factory=dict)

    @property
    def next_msn(self) -> int:
        """The segment that is open or comes next."""
        return len(self.segments)

    @property
    def last_msn(self) -> int:
        """The last segment with any content; -1 when there is none."""
        return len(self.segments) if self.open else len(self.segments) - 1

    @property
    def next_part(self) -> tuple[int, int]:
        """Media sequence number and index of the part that is due."""
        return len(self.segments), len(self.open.parts) if self.open else 0

    @property
    def end_ns(self) -> int:
        """Where its content ends on the event's clock."""
        if self.open:
            return self.open.start_ns + self.open.duration_ns
        return self.segments[-1].end_ns if self.segments else 0

    @property
    def last_part(self) -> int:
        """Index of the last part of `last_msn`; 0 for a gap."""
        if self.open:
            return len(self.open.parts) - 1
        return max(0, self.segments[-1].part_count - 1) if self.segments else 0

    def discontinuous(self, msn: int) -> bool:
        """Whether segment `msn` begins another epoch than its predecessor."""
        return msn > 0 and self.segments[msn - 1].epoch != self._epoch_of(msn)

    def _epoch_of(self, msn: int) -> int:
        if msn < len(self.segments):
            return self.segments[msn].epoch
        assert self.open is not None
        return self.open.epoch

    def stored(self, msn: int, part: int) -> Part | None:
        """The part at this place, if there is one."""
        if 0 <= msn < len(self.segments):
            parts = self.segments[msn].parts
        elif self.open and msn == self.open.msn:
            parts = self.open.parts
        else:
            return None
        return parts[part] if 0 <= part < len(parts) else None

    def locate(self, msn: int, part: int) -> tuple[int, int] | None:
        """Offset and size of a part within its segment's bytes."""
        if (found := self.stored(msn, part)) is None:
            return None
        before = (
            self.segments[msn].parts if msn < len(self.segments) else self.open.parts  # type: ignore[union-attr]
        )
        return sum(p.size for p in before[:part]), found.size

    def require_next(self, msn: int, part: int) -> None:
        """Refuse any place but the one that is due.

        Raises:
            SegmentClosed: the segment is complete or was given up.
            OutOfOrder: the part would leave a hole.
        """
        due_msn, due_part = self.next_part
        if (msn, part) == (due_msn, due_part):
            return
        refusal = SegmentClosed if msn < due_msn else OutOfOrder
        raise refusal(
            f"{self.spec.track} expects part {due_part} of segment {due_msn}",
            expected_msn=str(due_msn),
            expected_part=str(due_part),
        )

    def require_fit(
        self, *, duration_ns: int, part: int, independent: bool, last: bool, announced_ns: int
    ) -> None:
        """Refuse a part that would break what the playlist promises (RFC 8216bis 4.4.3.1, 4.4.4.9).

        Args:
            duration_ns: of the part.
            part: its index in its segment.
            independent: whether a player can start at it.
            last: whether it closes its segment.
            announced_ns: PART-TARGET of all playlists, at least this track's own.

        Raises:
            PartInvalid: too long, too short, or a segment that nobody can start at.
        """
        target = self.spec.part_target_ns
        if not 0 < duration_ns <= target:
            raise PartInvalid(f"a part lasts more than 0 and at most {target} ns")
        if duration_ns < MIN_PART_SHARE * announced_ns and not last:
            raise PartInvalid(
                f"only a segment's last part may be shorter than 85 % of {announced_ns} ns"
            )
        if part == 0 and not independent:
            raise PartInvalid("a segment's first part must be independent")
        total = duration_ns + (self.open.duration_ns if self.open else 0)
        if total >= (2 * self.spec.segment_target_s + 1) * 500_000_000:
            raise PartInvalid(
                f"the segment would exceed its target of {self.spec.segment_target_s} s"
            )

    def starts(self, msn: int, epoch: int) -> int | None:
        """Where segment `msn` starts here; None if there is none, or one of another epoch."""
        if self.open and self.open.msn == msn and self.open.epoch == epoch:
            return self.open.start_ns
        if 0 <= msn < len(self.segments) and self.segments[msn].epoch == epoch:
            return self.segments[msn].start_ns
        return None

    def add(self, fact: PartStored, *, not_before_ns: int) -> None:
        """Append a part; the last one closes its segment."""
        if self.open is None:
            self.open = OpenSegment(fact.msn, fact.epoch, max(self.end_ns, not_before_ns))
        self.open.add(Part(fact.size, fact.duration_ns, fact.independent, fact.digest))
        if fact.last:
            self.close()

    def close(self) -> None:
        """Close the open segment as it is."""
        if self.open is None:
            return
        opened, self.open = self.open, None
        self.segments.append(
            Segment(
                opened.msn,
                opened.epoch,
                opened.start_ns,
                opened.duration_ns,
                packed=pack(opened.parts),
                size=opened.size,
            )
        )

    def fill(self, like: Segment, reason: GapReason) -> None:
        """Append a gap where another rendition has a segment, up to that one's end."""
        start = max(self.end_ns, like.start_ns)
        duration = max(MIN_GAP_NS, like.end_ns - start)
        self.segments.append(Segment(self.next_msn, like.epoch, start, duration, gap=reason))
