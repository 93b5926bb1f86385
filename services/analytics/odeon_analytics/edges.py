"""What the edges reported last: viewers now, and counters on their way to the store."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from odeon.events.v1 import events_pb2
from odeon_runtime.logs import logger

from odeon_analytics.domain.egress import Counter, counted
from odeon_analytics.ports import Store, StoreUnavailable

FLUSH_S = 2.0
_FORGET_S = 3600.0
_log = logger(__name__)


@dataclass(slots=True)
class _Seen:
    counter: Counter
    viewers: int
    seen_s: float
    dirty: bool = True


class EdgeBook:
    """Takes load reports; one task writes what changed to the store.

    Args:
        store: keeps the counters over a restart.
        silence_s: after this an edge's viewers do not count any more.
        clock: monotonic seconds.
    """

    def __init__(
        self, store: Store, *, silence_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._silence_s = silence_s
        self._clock = clock
        self._seen: dict[tuple[str, str, str], _Seen] = {}

    async def load(self) -> None:
        """Go on from the counters of an earlier life; raises StoreUnavailable."""
        for counter in await self._store.counters():
            key = (counter.edge, counter.tenant, counter.event)
            self._seen[key] = _Seen(counter, 0, float("-inf"), dirty=False)

    async def heard(self, _subject: str, envelope: events_pb2.Envelope) -> None:
        """One edge's report."""
        if not envelope.HasField("edge_load_reported"):
            return
        report = envelope.edge_load_reported
        at_us = envelope.occur_time.ToMicroseconds()
        now = self._clock()
        for load in report.events:
            key = (report.edge, load.tenant_id, load.event_id)
            seen = self._seen.get(key)
            last = seen.counter if seen else Counter(edge=key[0], tenant=key[1], event=key[2])
            counter = counted(last, load.egress_bytes_total, at_us)
            changed = counter.bytes_total != last.bytes_total or counter.run != last.run
            waiting = seen is not None and seen.dirty
            self._seen[key] = _Seen(counter, load.viewers, now, dirty=changed or waiting)

    def viewers(self, tenant: str, event: str) -> int:
        """Viewers of an event at all edges that report."""
        oldest = self._clock() - self._silence_s
        return sum(
            seen.viewers
            for (_, t, e), seen in self._seen.items()
            if (t, e) == (tenant, event) and seen.seen_s >= oldest
        )

    async def keep(self) -> None:
        """Write changes to the store, for ever."""
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except StoreUnavailable as error:
                _log.warning("egress_not_stored", error=error.message)

    async def flush(self) -> None:
        """Write what changed now; what fails stays to be written."""
        dirty = [seen for seen in self._seen.values() if seen.dirty]
        if dirty:
            for seen in dirty:
                seen.dirty = False
            try:
                await self._store.put_counters([seen.counter for seen in dirty])
            except StoreUnavailable:
                for seen in dirty:
                    seen.dirty = True
                raise
        oldest = self._clock() - _FORGET_S
        stale = [key for key, seen in self._seen.items() if not seen.dirty and seen.seen_s < oldest]
        # Loaded ones have never been heard: they wait for their edge for as long as we live.
        for key in stale:
            if self._seen[key].seen_s != float("-inf"):
                del self._seen[key]
