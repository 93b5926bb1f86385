"""One timeline at work: a single writer, many readers that wait without polling."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from odeon_recorder.domain.directives import (
    BLOCK_TARGETS,
    Directives,
    is_hinted,
    is_ready,
)
from odeon_recorder.domain.gaps import gaps_of
from odeon_recorder.domain.records import (
    Archived,
    Ended,
    Fact,
    Granted,
    InitStored,
    PartStored,
    TrackSpec,
)
from odeon_recorder.domain.refusals import MediaNotFound, NotYet, SpoolFailed, TooBusy
from odeon_recorder.domain.timeline import Offer, Timeline
from odeon_recorder.domain.track import Track
from odeon_recorder.ports import Announcer, Archive, ArchiveAway, Entry, Key, TimelineLog
from odeon_recorder.usecases import meters
from odeon_recorder.usecases.rendering import Rendered, RenderedPlaylist

QUEUE_LIMIT = 64
BATCH_LIMIT = 32
"""Facts of one fdatasync round; recovery checks more than this."""
CACHED_SEGMENTS = 4
"""Parts of the open segment and the three before it are kept in memory: three targets' worth."""


@dataclass(slots=True)
class _Write:
    """A wish to write: `decide` gives its facts against the log as it is then."""

    decide: Callable[[], Sequence[Fact]]
    done: asyncio.Future[Sequence[Fact]]
    data: bytes = b""
    track: str = ""
    checkpoint: bool = False


class LiveTimeline:
    """A timeline, its log and its waiters. `run` is its one writer."""

    def __init__(
        self,
        key: Key,
        timeline: Timeline,
        *,
        log: TimelineLog,
        archive: Archive,
        announcer: Announcer,
    ) -> None:
        self.key = key
        self.timeline = timeline
        self.log = log
        self._archive = archive
        self._announcer = announcer
        self._queue: asyncio.Queue[_Write] = asyncio.Queue(QUEUE_LIMIT)
        self._held: _Write | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._changed = asyncio.Event()
        self._playlists: dict[str, RenderedPlaylist] = {}
        self._parts: OrderedDict[tuple[str, int, int], bytes] = OrderedDict()
        # After a restart nobody has been silent for longer than we have been listening.
        self._sign_at = self._opened_at = time.monotonic()
        self._part_at: dict[str, float] = {}
        self.closing = False
        self.in_archive = False
        """Whether object storage has all of an ended timeline."""
        self.used_at = time.monotonic()

    # Writing

    async def acquire(self, owner: str, tracks: Sequence[TrackSpec]) -> Granted:
        """Grant the next epoch.

        Raises:
            TimelineHeld, TimelineEnded, TracksMissing, TracksMismatch.
        """

        def decide() -> Sequence[Fact]:
            silent_s = time.monotonic() - self._sign_at
            return (self.timeline.grant(owner, tracks, silent_s=silent_s, now_ms=now_ms()),)

        (fact,) = await self._submit(decide)
        assert isinstance(fact, Granted)
        return fact

    def heartbeat(self, epoch: int) -> None:
        """A sign of life; raises TimelineFenced, EpochUnknown, TimelineEnded."""
        self.timeline.check_alive(epoch)
        self._sign_at = time.monotonic()

    async def append(self, offer: Offer, data: bytes) -> bool:
        """Store a part; True when it is new. Returns after it is on the disk."""

        def decide() -> Sequence[Fact]:
            facts = self.timeline.place(offer, now_ms=now_ms())
            self._sign_at = self._part_at[offer.track] = time.monotonic()
            return facts

        with meters.STORE_SECONDS.time():
            fresh = bool(await self._submit(decide, data=data, track=offer.track))
        meters.PARTS.labels("stored" if fresh else "repeated").inc()
        return fresh

    async def store_init(self, track: str, epoch: int, data: bytes, digest: bytes) -> bool:
        """Store an init section; True when it is new."""

        def decide() -> Sequence[Fact]:
            facts = self.timeline.place_init(track, epoch, size=len(data), digest=digest)
            self._sign_at = time.monotonic()
            return facts

        return bool(await self._submit(decide, data=data, track=track))

    async def end(self, epoch: int) -> bool:
        """Close for ever; True when it was open."""
        return bool(await self._submit(lambda: self.timeline.end(epoch, now_ms=now_ms())))

    async def archived(self, facts: Sequence[Archived]) -> None:
        """Remember what object storage has."""
        await self._submit(lambda: facts)

    async def checkpoint(self) -> None:
        """Start the journal over; waits its turn among the writes."""
        await self._submit(lambda: (), checkpoint=True)

    async def close(self) -> None:
        """Refuse new writes, let waiters go, finish what was taken in."""
        self.closing = True
        self.wake()
        await self._idle.wait()

    async def _submit(
        self,
        decide: Callable[[], Sequence[Fact]],
        *,
        data: bytes = b"",
        track: str = "",
        checkpoint: bool = False,
    ) -> Sequence[Fact]:
        if self.closing:
            raise SpoolFailed("this recorder is stopping", retry_after_s=0.25)
        done: asyncio.Future[Sequence[Fact]] = asyncio.get_running_loop().create_future()
        try:
            self._queue.put_nowait(_Write(decide, done, data, track, checkpoint))
            self._idle.clear()
        except asyncio.QueueFull:
            raise TooBusy("too many writes wait for this timeline", retry_after_s=0.5) from None
        return await done

    async def run(self) -> None:
        """Write for ever, in rounds: one write per track, then one wait for the disk."""
        while True:
            batch = [self._held or await self._queue.get()]
            self._held = None
            self._gather(batch)
            await self._write(batch)
            if self._held is None and self._queue.empty():
                self._idle.set()

    def _gather(self, batch: list[_Write]) -> None:
        # Only media writes of different tracks are independent of each other.
        while batch[-1].track and len(batch) < BATCH_LIMIT and not self._queue.empty():
            following = self._queue.get_nowait()
            if not following.track or any(w.track == following.track for w in batch):
                self._held = following
                return
            batch.append(following)

    async def _write(self, batch: Sequence[_Write]) -> None:
        decided: list[tuple[_Write, Sequence[Fact]]] = []
        for write in batch:
            try:
                decided.append((write, write.decide()))
            except Exception as refusal:
                _fail(write, refusal)
        entries = [
            Entry(fact, write.data if isinstance(fact, PartStored | InitStored) else b"")
            for write, facts in decided
            for fact in facts
        ]
        try:
            await self._store(entries)
            if batch[0].checkpoint:
                await self.log.checkpoint(self.timeline)
        except Exception as failure:
            meters.SPOOL_FAILURES.inc()
            for write, _ in decided:
                _fail(write, failure)
            return
        for write, facts in decided:
            if not write.done.done():
                write.done.set_result(facts)
        # Owners hear of it before hundreds of players do.
        if entries:
            self.wake()

    async def _store(self, entries: Sequence[Entry]) -> None:
        if not entries:
            return
        await self.log.commit(entries)
        self._apply(entries)
        if late := self.timeline.stragglers(self._silent_s):
            given_up = [Entry(fact) for fact in late]
            await self.log.commit(given_up)
            self._apply(given_up)

    def _silent_s(self, track: str) -> float:
        return time.monotonic() - self._part_at.get(track, self._opened_at)

    def _apply(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            closed = {name: track.next_msn for name, track in self.timeline.tracks.items()}
            self.timeline.apply(entry.fact)
            for name, msn in closed.items():
                self._tell_closed(self.timeline.tracks[name], since=msn)
            match entry.fact:
                case PartStored() as part:
                    self._remember(part, entry.data)
                case Granted() as granted:
                    # The new owner has a second to show itself.
                    self._sign_at = self._opened_at = time.monotonic()
                    self._part_at.clear()
                    self._announcer.acquired(self.key, epoch=granted.epoch, owner=granted.owner)
                case Ended():
                    self._parts.clear()
                    gaps = sum(len(gaps_of(self.timeline, t)) for t in self.tracks)
                    self._announcer.ended(self.key, duration_ns=self.timeline.end_ns, gaps=gaps)

    def _tell_closed(self, track: Track, *, since: int) -> None:
        """Announce the segments that are complete now, those that were cut short included."""
        for msn, segment in enumerate(track.segments[since:], since):
            if segment.part_count == 0:
                continue  # a gap: nobody can fetch it
            self._announcer.segment_closed(
                self.key,
                track=track.spec.track,
                msn=msn,
                duration_ns=segment.duration_ns,
                size=segment.size,
            )

    def _remember(self, part: PartStored, data: bytes) -> None:
        self._parts[(part.track, part.msn, part.part)] = data
        if part.part == 0:
            oldest = part.msn - CACHED_SEGMENTS
            old = [k for k in self._parts if k[0] == part.track and k[1] <= oldest]
            for key in old:
                del self._parts[key]

    # Reading

    @property
    def tracks(self) -> list[Track]:
        """All tracks."""
        return list(self.timeline.tracks.values())

    @property
    def unarchived(self) -> int:
        """Closed segments that object storage does not have yet."""
        return sum(len(track.segments) - len(track.archived) for track in self.tracks)

    def wake(self) -> None:
        """Let every waiter look again."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def changed(self) -> None:
        """Wait for the next change of anything."""
        await self._changed.wait()

    async def playlist(self, name: str, asked: Directives, *, gzip: bool) -> Rendered:
        """A media playlist, once it has what was asked for.

        Raises:
            MediaNotFound, BadDirective, NotYet.
        """
        track = self._track(name)

        def ready() -> bool:
            if self.timeline.ended_ms is not None:
                return True
            if asked.msn is None:
                # A playlist without a segment is none that a player can start with.
                return bool(track.segments)
            return is_ready(asked, track, part_target_ns=self.timeline.part_target_ns)

        await self._until(ready)
        rendered = self._playlists.get(name)
        if rendered is None:
            rendered = self._playlists[name] = RenderedPlaylist(self.timeline, track)
        return rendered.get(delta=asked.skip, gzip=gzip)

    async def part(self, name: str, msn: int, part: int) -> bytes:
        """A part; the hinted one is waited for. Raises MediaNotFound, NotYet."""
        track = self._track(name)
        if self.timeline.ended_ms is None and is_hinted(track, msn, part):
            await self._until(lambda: not is_hinted(track, msn, part))
        cached = self._parts.get((name, msn, part))
        if cached is not None:
            return cached
        place = track.locate(msn, part)
        if place is None:
            raise MediaNotFound(f"no part {part} of segment {msn}")
        offset, size = place
        return await self._read(name, msn, offset=offset, size=size)

    async def segment(self, name: str, msn: int) -> bytes:
        """A closed segment; raises MediaNotFound."""
        track = self._track(name)
        if not 0 <= msn < len(track.segments) or track.segments[msn].gap is not None:
            raise MediaNotFound(f"no segment {msn}")
        segment = track.segments[msn]
        held = [self._parts.get((name, msn, index)) for index in range(segment.part_count)]
        if all(part is not None for part in held):
            return b"".join(part for part in held if part is not None)
        return await self._read(name, msn, offset=0, size=segment.size)

    async def init(self, name: str, epoch: int) -> bytes:
        """An init section; raises MediaNotFound."""
        if epoch not in self._track(name).inits:
            raise MediaNotFound(f"no init section of epoch {epoch}")
        data = await self.log.read_init(name, epoch)
        if data is None:
            data = await self._fetch(f"{self.key}/{name}/init-{epoch}.mp4")
        return data

    async def _read(self, name: str, msn: int, *, offset: int, size: int) -> bytes:
        data = await self.log.read(name, msn, offset=offset, size=size)
        if data is None or len(data) < size:
            data = await self._fetch(f"{self.key}/{name}/s{msn}.m4s", offset=offset, size=size)
        return data

    async def _fetch(self, path: str, *, offset: int = 0, size: int = -1) -> bytes:
        try:
            data = await self._archive.get(path, offset=offset, size=size)
        except ArchiveAway:
            raise NotYet("object storage does not answer", retry_after_s=1.0) from None
        if data is None:
            raise MediaNotFound("not stored here")
        return data

    def _track(self, name: str) -> Track:
        self.used_at = time.monotonic()
        track = self.timeline.tracks.get(name)
        if track is None:
            raise MediaNotFound(f"no track {name}")
        return track

    async def _until(self, ready: Callable[[], bool]) -> None:
        if ready():
            return
        limit_s = BLOCK_TARGETS * self.timeline.segment_target_s
        try:
            with meters.WAITING.track_inprogress():
                async with asyncio.timeout(limit_s):
                    await self._watch(ready)
        except TimeoutError:
            raise NotYet("nothing new came in time", retry_after_s=1.0) from None

    async def _watch(self, ready: Callable[[], bool]) -> None:
        while not ready():
            if self.closing:
                raise NotYet("this recorder is stopping", retry_after_s=0.25)
            await self._changed.wait()


def now_ms() -> int:
    """Wall clock in Unix milliseconds."""
    return time.time_ns() // 1_000_000


def _fail(write: _Write, error: Exception) -> None:
    if not write.done.done():
        write.done.set_exception(error)
