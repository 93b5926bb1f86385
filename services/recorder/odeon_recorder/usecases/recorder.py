"""All timelines of this recorder: found in memory, on the local disk, or not at all."""

import asyncio
from collections.abc import Sequence

from odeon_runtime.logs import logger

from odeon_recorder.domain.playlist import multivariant
from odeon_recorder.domain.records import Granted, TrackSpec
from odeon_recorder.domain.refusals import DiskFull, MediaNotFound, TimelineLive, TimelineNotFound
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.ports import Announcer, Key, Spool, TimelineLog
from odeon_recorder.usecases.live import LiveTimeline
from odeon_recorder.usecases.rendering import Rendered, rendered

_log = logger(__name__)


class Recorder:
    """Opens timelines and keeps their writers. An async context manager.

    Args:
        spool: the local disk.
        announcer: tells the rest of the product.
        min_free_bytes: with less room than this, no new timeline begins.
    """

    def __init__(self, spool: Spool, announcer: Announcer, *, min_free_bytes: int) -> None:
        self._spool = spool
        self._announcer = announcer
        self._min_free_bytes = min_free_bytes
        self._live: dict[Key, LiveTimeline] = {}
        self._opening: dict[Key, asyncio.Lock] = {}
        self._writers: dict[Key, asyncio.Task[None]] = {}

    async def close(self) -> None:
        """Let waiters go, finish what is being written, refuse the rest."""
        for key in list(self._live):
            await self._stop(key)

    # Owners

    async def acquire(self, key: Key, owner: str, tracks: Sequence[TrackSpec]) -> "LiveAndGrant":
        """Grant an epoch; the first one creates the timeline.

        Raises:
            TimelineHeld, TimelineEnded, TracksMismatch, DiskFull.
        """
        live = await self._open(key, create=True)
        assert live is not None
        return live, await live.acquire(owner, tracks)

    async def find(self, key: Key) -> LiveTimeline:
        """An existing timeline; raises TimelineNotFound."""
        live = self._live.get(key) or await self._open(key, create=False)
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
        """A tenant's timelines in order of their event ids."""
        return [key for key in await self._spool.keys() if key.tenant == tenant]

    async def delete(self, key: Key) -> None:
        """Delete an ended timeline; raises TimelineNotFound, TimelineLive."""
        live = await self.find(key)
        if live.timeline.ended_ms is None:
            raise TimelineLive("end the timeline first")
        await self._stop(key)
        await live.log.remove()

    async def _stop(self, key: Key) -> None:
        live, task = self._live.pop(key), self._writers.pop(key)
        await live.close()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _open(self, key: Key, *, create: bool) -> LiveTimeline | None:
        lock = self._opening.setdefault(key, asyncio.Lock())
        try:
            async with lock:
                if key in self._live:
                    return self._live[key]
                return await self._load(key, create=create)
        finally:
            if not lock.locked():
                self._opening.pop(key, None)

    async def _load(self, key: Key, *, create: bool) -> LiveTimeline | None:
        timeline = Timeline(key.tenant, key.event)
        opened = await self._spool.open(key)
        if opened is not None:
            log, facts = opened
            timeline.apply_all(facts)
            return self._start(key, timeline, log)
        if not create:
            return None
        free = await self._spool.free_bytes()
        if free < self._min_free_bytes:
            raise DiskFull("the disk is too full for a new timeline", free_bytes=str(free))
        return self._start(key, timeline, await self._spool.create(key))

    def _start(self, key: Key, timeline: Timeline, log: TimelineLog) -> LiveTimeline:
        live = LiveTimeline(key, timeline, log, self._announcer)
        self._live[key] = live
        task = asyncio.create_task(live.run(), name=f"timeline-writer {key}")
        task.add_done_callback(_report)
        self._writers[key] = task
        return live


LiveAndGrant = tuple[LiveTimeline, Granted]


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task_died", task=task.get_name(), error=repr(error))
