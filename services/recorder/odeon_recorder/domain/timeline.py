"""The timeline of an event: who may append, what may be appended, what a take-over closes.

`grant`, `place`, `place_init`, `stragglers` and `end` decide and change nothing: they return the
facts that would follow. `apply` adds a fact that is durable by now. So the log is the truth and
replaying it gives the same timeline, to the byte.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from odeon_recorder.domain.records import (
    Archived,
    Ended,
    Fact,
    Gapped,
    GapReason,
    Granted,
    InitStored,
    Kind,
    PartStored,
    Segment,
    TrackSpec,
)
from odeon_recorder.domain.refusals import (
    EpochUnknown,
    InitMissing,
    PartConflict,
    TimelineEnded,
    TimelineFenced,
    TimelineHeld,
    TimelineNotFound,
    TracksMismatch,
    TracksMissing,
    TrackUnknown,
)
from odeon_recorder.domain.track import MIN_PART_SHARE, Track

SILENCE_S = 1.0
"""An owner that gave no sign of life for this long may be replaced."""
LAG_SEGMENTS = 2
"""A silent track whose rivals have closed this many more segments is given up for now."""
LAG_SILENCE_S = 2.0
"""How long a track must have been silent for that."""
LATEST_MS = 300_000
AHEAD_MS = 5_000
"""Capture times outside of five minutes ago to five seconds ahead are not believed: program dates
are kept for ever, and one absurd date would make a playlist that nobody can play."""
DATE_TOLERANCE_MS = 100
"""Program dates follow capture times when they are off by this much, some frames: clocks drift
apart by that in half an hour, and an encoder that falls behind moves its sources by more."""
FRAME_NS = 70_000_000
"""One frame at 15 fps: renditions never end at the very same nanosecond."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """From segment `msn` on, the moment `at_ns` of the event's clock was at `wall_ms`."""

    msn: int
    at_ns: int
    wall_ms: int

    def date_ms(self, at_ns: int) -> int:
        """Wall clock of another moment."""
        return self.wall_ms + (at_ns - self.at_ns + 500_000) // 1_000_000


@dataclass(slots=True)
class Epoch:
    """A time of one owner. The first anchor comes with its first part."""

    number: int
    owner: str
    first_msn: int
    start_ns: int
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """A part that wants in.

    `capture_ms` is when its end was captured, None where the owner does not say.
    """

    track: str
    epoch: int
    msn: int
    part: int
    size: int
    digest: bytes
    duration_ns: int
    independent: bool
    last: bool
    capture_ms: int | None = None


class Timeline:
    """An event's append-only tracks."""

    def __init__(self, tenant: str, event: str) -> None:
        self.tenant = tenant
        self.event = event
        self.epochs: list[Epoch] = []
        self.tracks: dict[str, Track] = {}
        self.granted: frozenset[str] = frozenset()
        self.origin_ms = 0
        # TARGETDURATION and PART-TARGET of all playlists, fixed by the first epoch. RFC 8216bis
        # 6.2.4 wants one EXT-X-SERVER-CONTROL for all renditions, and PART-HOLD-BACK is three
        # part targets: so the greatest part target holds for all.
        self.segment_target_s = 0
        self.part_target_ns = 0
        self.ended_ms: int | None = None
        self.version = 0

    @property
    def epoch(self) -> int:
        """The present epoch; 0 before the first."""
        return self.epochs[-1].number if self.epochs else 0

    @property
    def owner(self) -> str:
        """Who holds the present epoch."""
        return self.epochs[-1].owner if self.epochs else ""

    @property
    def end_ns(self) -> int:
        """Where the longest track ends."""
        return max((track.end_ns for track in self.tracks.values()), default=0)

    def track(self, name: str) -> Track:
        """The track; raises TrackUnknown."""
        try:
            return self.tracks[name]
        except KeyError:
            raise TrackUnknown(f"no track {name}", track=name) from None

    def wall_ms(self, epoch: int, msn: int, at_ns: int) -> int:
        """Wall clock of a moment of an epoch's segment: when it was captured."""
        found = self.epochs[epoch - 1]
        number = bisect_right(found.anchors, msn, key=lambda anchor: anchor.msn)
        unknown = Anchor(found.first_msn, found.start_ns, self.origin_ms)
        return (found.anchors[number - 1] if number else unknown).date_ms(at_ns)

    # Decisions

    def grant(
        self, owner: str, tracks: Sequence[TrackSpec], *, silent_s: float, now_ms: int
    ) -> Granted:
        """The next epoch, for the same owner at once, for another one after a second's silence.

        Without `tracks` it goes on with those of the epoch before.

        Raises:
            TimelineEnded, TimelineHeld, TracksMissing, TracksMismatch.
        """
        self._require_open()
        if self.epochs and owner != self.owner and silent_s < SILENCE_S:
            raise TimelineHeld(
                f"{self.owner} wrote {silent_s:.1f} s ago",
                retry_after_s=max(0.05, SILENCE_S - silent_s),
                owner=self.owner,
                epoch=str(self.epoch),
            )
        tracks = tracks or self._granted_specs()
        self._require_same_promises(tracks)
        last = max((track.last_msn for track in self.tracks.values()), default=-1)
        start = max(self.end_ns, self.epochs[-1].start_ns if self.epochs else 0)
        return Granted(self.epoch + 1, owner, now_ms, last + 1, start, tuple(tracks))

    def check_epoch(self, epoch: int) -> None:
        """Refuse all epochs but the present one; raises TimelineFenced, EpochUnknown."""
        if epoch < self.epoch:
            raise TimelineFenced(f"epoch {self.epoch} was granted", epoch=str(self.epoch))
        if epoch > self.epoch:
            raise EpochUnknown(f"epoch {epoch} was never granted", epoch=str(self.epoch))

    def check_alive(self, epoch: int) -> None:
        """Whether a heartbeat counts; raises TimelineFenced, EpochUnknown, TimelineEnded."""
        self.check_epoch(epoch)
        self._require_open()

    def place(self, offer: Offer, *, now_ms: int) -> tuple[Fact, ...]:
        """What storing a part adds to the log; nothing when it is there already.

        Raises:
            TimelineFenced, EpochUnknown, TrackUnknown, PartConflict, TimelineEnded,
            SegmentClosed, OutOfOrder, InitMissing, PartInvalid.
        """
        self.check_epoch(offer.epoch)
        track = self.track(offer.track)
        if (stored := track.stored(offer.msn, offer.part)) is not None:
            if stored.digest == offer.digest:
                return ()
            raise PartConflict("another part is stored here", track=offer.track)
        self._require_open()
        if offer.track not in self.granted:
            raise TrackUnknown(f"epoch {self.epoch} has no track {offer.track}", track=offer.track)
        if offer.epoch not in track.inits:
            raise InitMissing(f"the init section of epoch {offer.epoch} is due", track=offer.track)
        if self._comes_back(track, offer):
            gap = Gapped(offer.track, offer.msn - 1, GapReason.RUNG_STOPPED)
            return (gap, self._fitting(track, offer, now_ms))
        track.require_next(offer.msn, offer.part)
        return (self._fitting(track, offer, now_ms),)

    def place_init(self, track: str, epoch: int, *, size: int, digest: bytes) -> tuple[Fact, ...]:
        """What storing an init section adds; nothing when it is there already.

        Raises:
            TimelineFenced, EpochUnknown, TrackUnknown, PartConflict, TimelineEnded.
        """
        self.check_epoch(epoch)
        stored = self.track(track).inits.get(epoch)
        if stored is not None:
            if stored.digest == digest:
                return ()
            raise PartConflict("another init section is stored here", track=track)
        self._require_open()
        if track not in self.granted:
            raise TrackUnknown(f"epoch {epoch} has no track {track}", track=track)
        return (InitStored(track, epoch, size, digest),)

    def stragglers(self, silent_s: Callable[[str], float]) -> tuple[Fact, ...]:
        """Gaps for tracks that stopped while the rest goes on, so that players move on.

        Behind alone is not stopped: after an outage an owner sends its tracks one by one.

        Args:
            silent_s: seconds since the last part of a track.
        """
        furthest = max((track.next_msn for track in self.tracks.values()), default=0)
        facts: list[Fact] = []
        for name, track in self.tracks.items():
            granted = name in self.granted
            through = furthest - (LAG_SEGMENTS if granted else 1)
            if track.next_msn > through or (granted and silent_s(name) < LAG_SILENCE_S):
                continue
            # A segment that stops half-way is followed by a gap, never by a silent jump.
            cut_short = track.open is not None and track.next_msn == through
            facts.append(Gapped(name, through + int(cut_short), GapReason.RUNG_STOPPED))
        return tuple(facts)

    def end(self, epoch: int, *, now_ms: int) -> tuple[Fact, ...]:
        """What closing for ever adds; nothing when it is closed. Epoch 0 ends any.

        Raises:
            TimelineNotFound, TimelineFenced, EpochUnknown.
        """
        if not self.epochs:
            raise TimelineNotFound("nothing was ever recorded here")
        if self.ended_ms is not None:
            return ()
        if epoch:
            self.check_epoch(epoch)
        return (Ended(now_ms),)

    def _require_open(self) -> None:
        if self.ended_ms is not None:
            raise TimelineEnded("the timeline has ended")

    def _granted_specs(self) -> list[TrackSpec]:
        if not self.granted:
            raise TracksMissing("no epoch was granted yet")
        return [track.spec for name, track in self.tracks.items() if name in self.granted]

    def _require_same_promises(self, tracks: Sequence[TrackSpec]) -> None:
        if len({spec.track for spec in tracks}) != len(tracks):
            raise TracksMismatch("name each track once")
        if len({spec.segment_target_s for spec in tracks}) != 1:
            raise TracksMismatch("all tracks share one segment target")
        announced_ns = self.part_target_ns or max(spec.part_target_ns for spec in tracks)
        if min(spec.part_target_ns for spec in tracks) < MIN_PART_SHARE * announced_ns:
            raise TracksMismatch(f"no part target may be below 85 % of {announced_ns} ns")
        if not self.tracks:
            return
        if tracks[0].segment_target_s != self.segment_target_s:
            raise TracksMismatch("TARGETDURATION must not change")
        if max(spec.part_target_ns for spec in tracks) > self.part_target_ns:
            raise TracksMismatch("PART-TARGET must not grow")
        for spec in tracks:
            known = self.tracks.get(spec.track)
            if known is not None and known.spec.kind is not spec.kind:
                raise TracksMismatch(f"{spec.track} is {known.spec.kind.value}")

    def _fitting(self, track: Track, offer: Offer, now_ms: int) -> PartStored:
        # A video's first part must be a keyframe; every audio part can be started at.
        independent = offer.independent or track.spec.kind is Kind.AUDIO
        captured_ms = _believed(offer.capture_ms, now_ms)
        track.require_fit(
            duration_ns=offer.duration_ns,
            part=offer.part,
            independent=independent,
            last=offer.last,
            announced_ns=self.part_target_ns,
        )
        return PartStored(
            track=offer.track,
            epoch=offer.epoch,
            msn=offer.msn,
            part=offer.part,
            offset=track.open.size if track.open else 0,
            size=offer.size,
            duration_ns=offer.duration_ns,
            independent=independent,
            last=offer.last,
            digest=offer.digest,
            wall_ms=now_ms if captured_ms is None else captured_ms,
            captured=captured_ms is not None,
        )

    def _comes_back(self, track: Track, offer: Offer) -> bool:
        # A rung that was given up may go on at a segment's start, where the others are.
        given_up = track.open is None and track.segments and track.segments[-1].gap is not None
        return bool(
            given_up
            and offer.part == 0
            and offer.msn > track.next_msn
            and offer.msn <= max(t.next_msn for t in self.tracks.values())
        )

    # Facts

    def apply(self, fact: Fact) -> None:
        """Add a fact that is in the log."""
        self.version += 1
        match fact:
            case Granted():
                self._apply_grant(fact)
            case InitStored():
                self.tracks[fact.track].inits[fact.epoch] = fact
            case PartStored():
                self._apply_part(fact)
            case Gapped():
                self._fill(self.tracks[fact.track], fact.through, fact.reason)
            case Archived():
                self.tracks[fact.track].archived[fact.msn] = fact.digest
            case Ended():
                self.ended_ms = fact.at_ms
                for track in self.tracks.values():
                    track.close()

    def apply_all(self, facts: Iterable[Fact]) -> None:
        """Add facts in order."""
        for fact in facts:
            self.apply(fact)

    def _apply_grant(self, fact: Granted) -> None:
        if not self.epochs:
            self.origin_ms = fact.at_ms
            self.segment_target_s = fact.tracks[0].segment_target_s
            self.part_target_ns = max(spec.part_target_ns for spec in fact.tracks)
        self.granted = frozenset(spec.track for spec in fact.tracks)
        for spec in fact.tracks:
            if spec.track in self.tracks:
                self.tracks[spec.track].spec = spec
            else:
                self.tracks[spec.track] = Track(spec)
        for track in self.tracks.values():
            track.close()
        for track in self.tracks.values():
            reason = GapReason.TAKE_OVER if track.segments else GapReason.RUNG_STOPPED
            self._fill(track, fact.next_msn - 1, reason)
        self.epochs.append(Epoch(fact.epoch, fact.owner, fact.next_msn, fact.start_ns))

    def _apply_part(self, fact: PartStored) -> None:
        epoch = self.epochs[-1]
        track = self.tracks[fact.track]
        track.add(fact, not_before_ns=self._due_start(track, fact))
        if not epoch.anchors:
            since_start_ms = (track.end_ns - epoch.start_ns + 500_000) // 1_000_000
            wall_ms = max(fact.wall_ms - since_start_ms, self._wall_floor())
            epoch.anchors = (Anchor(epoch.first_msn, epoch.start_ns, wall_ms),)
        elif fact.captured:
            self._follow_capture(epoch, track.end_ns, fact.wall_ms)

    def _follow_capture(self, epoch: Epoch, at_ns: int, wall_ms: int) -> None:
        """Date what comes by the newest capture time that is known.

        It counts from the next segment on, whose date nobody has seen yet. A date steps back by
        half a segment at most, so that dates always grow; what is left goes with the next ones.
        """
        if at_ns < epoch.anchors[-1].at_ns:
            return  # A slower rendition tells what is known already.
        if abs(wall_ms - epoch.anchors[-1].date_ms(at_ns)) < DATE_TOLERANCE_MS:
            return
        msn = 1 + max(track.last_msn for track in self.tracks.values())
        seen = tuple(anchor for anchor in epoch.anchors if anchor.msn < msn)
        least_ms = seen[-1].date_ms(at_ns) - self.segment_target_s * 500
        epoch.anchors = (*seen, Anchor(msn, at_ns, max(wall_ms, least_ms)))

    def _due_start(self, track: Track, fact: PartStored) -> int:
        # After a hole a track goes on where the others have this segment; a frame's difference
        # is no hole, because audio and video frames never end together.
        starts = [t.starts(fact.msn, fact.epoch) for t in self.tracks.values()]
        aligned = min((s for s in starts if s is not None), default=0)
        floor = self.epochs[-1].start_ns
        return max(floor, aligned) if aligned - track.end_ns > FRAME_NS else floor

    def _wall_floor(self) -> int:
        # Program dates never go back, whatever the clocks of two owners say.
        start = self.epochs[-1].start_ns
        return max((e.anchors[-1].date_ms(start) for e in self.epochs if e.anchors), default=0)

    def _fill(self, track: Track, through: int, reason: GapReason) -> None:
        if track.next_msn <= through:
            track.close()
        while track.next_msn <= through:
            track.fill(self._model(track.next_msn), reason)

    def _model(self, msn: int) -> Segment:
        """The longest segment that any track has in this place."""
        have = [t.segments[msn] for t in self.tracks.values() if msn < len(t.segments)]
        return max(have, key=lambda segment: (segment.gap is None, segment.end_ns))


def _believed(capture_ms: int | None, now_ms: int) -> int | None:
    """When a part's end was captured; None where the owner's clock is off."""
    if capture_ms is None or not -LATEST_MS <= capture_ms - now_ms <= AHEAD_MS:
        return None
    return capture_ms
