"""What the edges reported last: viewers now, and what is on its way to the store.

An audience's peak is noted from the reports themselves: nobody may be asking while it is there.
"""

import asyncio
import time
from collections import Counter as Totals
from collections.abc import Callable, Collection
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


@dataclass(slots=True)
class _Peak:
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
        self._peaks: dict[tuple[str, str], _Peak] = {}

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
        self._note_peaks({(load.tenant_id, load.event_id) for load in report.events})

    def viewers(self, tenant: str, event: str) -> int:
        """Viewers of an event at all edges that report."""
        return self._totals({(tenant, event)})[(tenant, event)]

    def peak(self, tenant: str, event: str) -> int:
        """The greatest audience that reports added up to; the store has what is longer ago."""
        peak = self._peaks.get((tenant, event))
        return peak.viewers if peak else 0

    def _totals(self, of: Collection[tuple[str, str]]) -> Totals[tuple[str, str]]:
        oldest = self._clock() - self._silence_s
        totals: Totals[tuple[str, str]] = Totals()
        for (_, tenant, event), seen in self._seen.items():
            if seen.seen_s >= oldest and (tenant, event) in of:
                totals[(tenant, event)] += seen.viewers
        return totals

    def _note_peaks(self, of: Collection[tuple[str, str]]) -> None:
        now = self._clock()
        for key, viewers in self._totals(of).items():
            known = self._peaks.get(key)
            if known is None or viewers > known.viewers:
                self._peaks[key] = _Peak(viewers, now)
            else:
                known.seen_s = now

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
        await self._flush_peaks()
        self._forget()

    async def _flush_peaks(self) -> None:
        for (tenant, event), peak in list(self._peaks.items()):
            if peak.dirty:
                await self._store.note_peak(tenant, event, peak.viewers)
                # A greater one that came meanwhile is another object.
                peak.dirty = False

    def _forget(self) -> None:
        oldest = self._clock() - _FORGET_S
        stale = [key for key, seen in self._seen.items() if not seen.dirty and seen.seen_s < oldest]
        # Loaded ones have never been heard: they wait for their edge for as long as we live.
        for key in stale:
            if self._seen[key].seen_s != float("-inf"):
                del self._seen[key]
        for event, peak in list(self._peaks.items()):
            if not peak.dirty and peak.seen_s < oldest:
                del self._peaks[event]
