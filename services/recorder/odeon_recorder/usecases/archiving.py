"""Closed segments go to object storage in the background; the spool keeps them until then.

Nothing here stands between a part and its acknowledgement. While object storage is away the
segments wait on the local disk, and the rounds go on with growing pauses.
"""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from odeon_runtime.errors import DomainError
from odeon_runtime.logs import logger

from odeon_recorder.domain.records import NS, Archived
from odeon_recorder.domain.track import Track
from odeon_recorder.ports import Archive, ArchiveAway
from odeon_recorder.usecases import meters
from odeon_recorder.usecases.live import LiveTimeline

MANIFEST_EVERY_S = 10.0
"""How far the manifest of a live timeline may lag behind its segments."""
CHECKPOINT_BYTES = 512 * 1024
"""Journal that a restart may have to read: about three minutes of four tracks."""
BATCH_SEGMENTS = 16
"""Segments of a track moved before the journal is told; catching up is far above real time."""
_PACE_S = 0.5
_LONGEST_PAUSE_S = 15.0
_log = logger(__name__)


class Archivist:
    """Moves one timeline's segments.

    Args:
        live: the timeline.
        archive: object storage.
        keep_s: tells how long archived segments stay on the local disk, in seconds.
    """

    def __init__(
        self, live: LiveTimeline, archive: Archive, *, keep_s: Callable[[], float]
    ) -> None:
        self._live = live
        self._archive = archive
        self._keep_s = keep_s
        self._inits: set[tuple[str, int]] = set()
        self._evicted: dict[str, int] = {}
        self._manifest_at = 0.0
        self._manifest_of = -1

    async def run(self) -> None:
        """Go on until all of an ended timeline is in object storage."""
        pause_s = _PACE_S
        while not self._live.in_archive:
            # Each goes on without the others: eviction makes the room that the rest may lack, and
            # a checkpoint needs no object storage.
            steps = (self._evict, self._checkpoint, self._round)
            well = [await self._try(step) for step in steps]
            pause_s = _PACE_S if all(well) else min(_LONGEST_PAUSE_S, pause_s * 2)
            await asyncio.sleep(pause_s)
            # Something changes at least with every part; the limit is for manifests that are due.
            with suppress(TimeoutError):
                async with asyncio.timeout(MANIFEST_EVERY_S):
                    if not self._live.in_archive and not self._due():
                        await self._live.changed()

    async def _try(self, step: Callable[[], Awaitable[None]]) -> bool:
        """Whether it went well; no failure ends the archiving of a timeline that goes on."""
        try:
            await step()
        except ArchiveAway as error:
            meters.ARCHIVE_AWAY.inc()
            _log.warning("archive_away", timeline=str(self._live.key), error=str(error))
        except DomainError as error:
            meters.ARCHIVING_FAILURES.inc()
            _log.error("archiving_failed", timeline=str(self._live.key), reason=error.reason)
        except Exception as error:
            meters.ARCHIVING_FAILURES.inc()
            _log.error("archiving_failed", timeline=str(self._live.key), exc_info=error)
        else:
            return True
        return False

    async def _round(self) -> None:
        # In order within a track: what is archived is always a beginning.
        for track in self._live.tracks:
            await self._move_inits(track)
            await self._move_segments(track)
        timeline = self._live.timeline
        ended = timeline.ended_ms is not None
        complete = all(len(t.archived) == len(t.segments) for t in self._live.tracks)
        if timeline.epochs and ((ended and complete) or self._manifest_due()):
            version = timeline.version
            await self._archive.put_manifest(timeline)
            self._manifest_at, self._manifest_of = time.monotonic(), version
            self._live.in_archive = ended and complete

    def _due(self) -> bool:
        return any(len(t.archived) < len(t.segments) for t in self._live.tracks)

    def _manifest_due(self) -> bool:
        late = time.monotonic() - self._manifest_at >= MANIFEST_EVERY_S
        return late and self._manifest_of != self._live.timeline.version

    async def _move_inits(self, track: Track) -> None:
        name = track.spec.track
        for epoch in list(track.inits):
            if (name, epoch) not in self._inits:
                data = await self._live.init(name, epoch)
                await self._archive.put(f"{self._live.key}/{name}/init-{epoch}.mp4", data)
                self._inits.add((name, epoch))

    async def _move_segments(self, track: Track) -> None:
        name = track.spec.track
        first = len(track.archived)
        facts: list[Archived] = []
        for segment in track.segments[first : first + BATCH_SEGMENTS]:
            if segment.gap is not None:
                facts.append(Archived(name, segment.msn, b""))
                continue
            data = await self._live.segment(name, segment.msn)
            await self._archive.put(f"{self._live.key}/{name}/s{segment.msn}.m4s", data)
            facts.append(Archived(name, segment.msn, hashlib.sha256(data).digest()))
        if facts:
            await self._live.archived(facts)

    async def _checkpoint(self) -> None:
        if self._live.log.growth > CHECKPOINT_BYTES:
            await self._live.checkpoint()

    async def _evict(self) -> None:
        keep_ns = int(self._keep_s() * NS)
        for track in self._live.tracks:
            name = track.spec.track
            msn = self._evicted.get(name, 0)
            while msn in track.archived and track.segments[msn].end_ns < track.end_ns - keep_ns:
                await self._live.log.forget(name, msn)
                msn += 1
            self._evicted[name] = msn
