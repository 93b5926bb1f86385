"""All timelines of this recorder: found in memory, on the local disk, or in object storage."""

import asyncio
import time
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from odeon_runtime.errors import Unavailable
from odeon_runtime.logs import logger

from odeon_recorder.domain.playlist import multivariant
from odeon_recorder.domain.records import Granted, TrackSpec
from odeon_recorder.domain.refusals import (
    DiskFull,
    MediaNotFound,
    SpoolFailed,
    TimelineLive,
    TimelineNotFound,
)
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import Announcer, Archive, ArchiveAway, Entry, Key, Spool, TimelineLog
from odeon_recorder.usecases import meters
from odeon_recorder.usecases.archiving import Archivist
from odeon_recorder.usecases.live import LiveTimeline
from odeon_recorder.usecases.rendering import Rendered, rendered

KEEPING_EVERY_S = 30.0
IDLE_S = 600.0
"""An ended timeline that nobody watched for this long leaves the memory."""
RETENTION_EVERY_S = 3600.0
_DAY_MS = 86_400_000
_AWAY = (ArchiveAway, Unavailable)
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept where and for how long; see the settings of the same names."""

    min_free_bytes: int
    spool_keep_s: float
    retention_days: float


@dataclass(slots=True)
class _Held:
    live: LiveTimeline
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Recorder:
    """Opens timelines and runs their tasks."""

    def __init__(
        self, spool: Spool, archive: Archive, announcer: Announcer, keeping: Keeping
    ) -> None:
        self._spool = spool
        self._archive = archive
        self._announcer = announcer
        self._keeping = keeping
        self._held: dict[Key, _Held] = {}
        # A lock lives as long as somebody opens this timeline.
        self._opening: WeakValueDictionary[Key, asyncio.Lock] = WeakValueDictionary()
        self._disk_low = False
        self._closed = False
        self._retained_at = -RETENTION_EVERY_S

    @property
    def live(self) -> int:
        """Timelines that are held here and have not ended."""
        return sum(held.live.timeline.ended_ms is None for held in self._held.values())

    async def close(self) -> None:
        """Let waiters go, finish what is being written, refuse the rest."""
        self._closed = True
        for key in list(self._held):
            await self._drop(key)

    # Owners

    async def acquire(
        self, key: Key, owner: str, tracks: Sequence[TrackSpec]
    ) -> tuple[LiveTimeline, Granted]:
        """Grant an epoch; the first one creates the timeline.

        Raises:
            TimelineHeld, TimelineEnded, TracksMissing, TracksMismatch, DiskFull.
        """
        live = await self._open(key, create=True)
        assert live is not None
        return live, await live.acquire(owner, tracks)

    # Readers

    async def find(self, key: Key) -> LiveTimeline:
        """An existing timeline; raises TimelineNotFound, Unavailable."""
        held = self._held.get(key)
        live = held.live if held else await self._open(key, create=False)
        if live is None or not live.timeline.epochs:
            raise TimelineNotFound("no such timeline")
        return live

    async def multivariant(self, key: Key, *, gzip: bool) -> Rendered:
        """The multivariant playlist; raises TimelineNotFound, MediaNotFound."""
        live = await self.find(key)
        specs = [track.spec for track in live.tracks]
        if not specs:
            raise MediaNotFound("no tracks yet")
        return rendered(multivariant(specs).encode(), gzip=gzip)

    async def list(self, tenant: str) -> list[Key]:
        """A tenant's timelines in order of their event ids; raises Unavailable."""
        here = {key for key in await self._spool.keys() if key.tenant == tenant}
        try:
            return sorted(here.union(await self._archive.keys(tenant)))
        except ArchiveAway as error:
            raise Unavailable("object storage does not answer") from error

    async def delete(self, key: Key) -> None:
        """Delete an ended timeline everywhere.

        Raises:
            TimelineNotFound, TimelineLive, Unavailable.
        """
        live = await self.find(key)
        if live.timeline.ended_ms is None:
            raise TimelineLive("end the timeline first")
        async with self._lock(key):
            await self._drop(key)
            await live.log.remove()
            try:
                await self._archive.delete(key)
            except ArchiveAway as error:
                raise Unavailable("object storage does not answer") from error

    # Keeping

    async def keep_house(self) -> None:
        """Take up what a former process left, then evict, forget and delete what is due."""
        for key in await self._spool.keys():
            with _apart(key):
                await self._open(key, create=False)
        while True:
            free = await self._spool.free_bytes()
            meters.FREE_BYTES.set(free)
            meters.TIMELINES.set(len(self._held))
            meters.ARCHIVE_LAG.set(sum(held.live.unarchived for held in self._held.values()))
            self._disk_low = free < self._keeping.min_free_bytes
            for key, held in list(self._held.items()):
                with _apart(key):
                    await self._tidy(key, held.live)
            await self._retain()
            await asyncio.sleep(KEEPING_EVERY_S)

    def _keep_s(self) -> float:
        return 0.0 if self._disk_low else self._keeping.spool_keep_s

    async def _tidy(self, key: Key, live: LiveTimeline) -> None:
        ended_ms = live.timeline.ended_ms
        if ended_ms is None or not live.in_archive:
            return
        on_disk = not isinstance(live.log, Nowhere)
        if on_disk and time.time() * 1000 - ended_ms > self._keep_s() * 1000:
            async with self._lock(key):
                await self._drop(key)
                await live.log.remove()
        elif time.monotonic() - live.used_at > IDLE_S:
            await self._drop(key)

    async def _retain(self) -> None:
        days = self._keeping.retention_days
        if days <= 0 or time.monotonic() - self._retained_at < RETENTION_EVERY_S:
            return
        self._retained_at = time.monotonic()
        oldest_ms = time.time() * 1000 - days * _DAY_MS
        try:
            for key in await self._archive.keys():
                with _apart(key, ends_all=_AWAY):
                    await self._expire(key, oldest_ms)
        except _AWAY as error:
            _log.warning("retention_failed", error=str(error))

    async def _expire(self, key: Key, oldest_ms: float) -> None:
        ended_ms = await self._archive.ended_ms(key)
        if ended_ms is not None and ended_ms < oldest_ms:
            await self.delete(key)
            _log.info("timeline_expired", timeline=str(key))

    # Opening

    async def _open(self, key: Key, *, create: bool) -> LiveTimeline | None:
        async with self._lock(key):
            if self._closed:
                raise Unavailable("this recorder is stopping", retry_after_s=0.25)
            if key in self._held:
                return self._held[key].live
            return await self._load(key, create=create)

    def _lock(self, key: Key) -> asyncio.Lock:
        """Held while a timeline is opened or removed."""
        return self._opening.setdefault(key, asyncio.Lock())

    async def _load(self, key: Key, *, create: bool) -> LiveTimeline | None:
        opened = await self._spool.open(key)
        if opened is not None:
            log, timeline = opened
            return self._hold(key, timeline, log)
        found = await self._archived(key, create=create)
        if found is not None and found.ended_ms is not None:
            return self._hold(key, found, Nowhere())
        if found is None and not create:
            return None
        # A new timeline, or a live one that another disk held before.
        free = await self._spool.free_bytes()
        if free < self._keeping.min_free_bytes:
            raise DiskFull("the disk is too full for a new timeline", free_bytes=str(free))
        log = await self._spool.create(key)
        if found is not None:
            await log.checkpoint(found)
        return self._hold(key, found or Timeline(key.tenant, key.event), log)

    async def _archived(self, key: Key, *, create: bool) -> Timeline | None:
        try:
            return await self._archive.get_timeline(key)
        except ArchiveAway as error:
            if not create:
                raise Unavailable("object storage does not answer", retry_after_s=1.0) from error
            # Going live must not wait for object storage; event ids are unique.
            _log.warning("archive_away", timeline=str(key), error=str(error))
            return None

    def _hold(self, key: Key, timeline: Timeline, log: TimelineLog) -> LiveTimeline:
        live = LiveTimeline(
            key, timeline, log=log, archive=self._archive, announcer=self._announcer
        )
        held = self._held[key] = _Held(live)
        held.tasks.append(_named(live.run(), f"timeline-writer {key}"))
        if isinstance(log, Nowhere):
            live.in_archive = True
        else:
            archivist = Archivist(live, self._archive, keep_s=self._keep_s)
            held.tasks.append(_named(archivist.run(), f"timeline-archivist {key}"))
        return live

    async def _drop(self, key: Key) -> None:
        held = self._held.pop(key, None)
        if held is None:
            return
        await held.live.close()
        for task in held.tasks:
            task.cancel()
        await asyncio.gather(*held.tasks, return_exceptions=True)


class Nowhere:
    """The log of an ended timeline that is in object storage alone."""

    growth = 0

    async def commit(self, entries: Sequence[Entry]) -> None:
        """Refuse: nothing is written after the end."""
        raise SpoolFailed("the timeline has ended")

    async def checkpoint(self, timeline: Timeline) -> None:
        """Nothing to write down."""

    async def read(self, track: str, msn: int, *, offset: int = 0, size: int = -1) -> None:
        """Not here."""

    async def read_init(self, track: str, epoch: int) -> None:
        """Not here."""

    async def forget(self, track: str, msn: int) -> None:
        """Nothing to free."""

    async def remove(self) -> None:
        """Nothing to free."""


@contextmanager
def _apart(key: Key, *, ends_all: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """One damaged timeline keeps nobody from looking after the others."""
    try:
        yield
    except ends_all:
        raise
    except Exception as error:
        _log.error("timeline_damaged", timeline=str(key), error=repr(error))


def _named(work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task_died", task=task.get_name(), error=repr(error))
