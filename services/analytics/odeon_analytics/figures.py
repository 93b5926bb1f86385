"""Figures of events: read from the store and the edges, worked out at most once an interval."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from odeon_runtime.logs import logger

from odeon_analytics.domain.audience import Delivery, Figures, add_up, concurrent_viewers
from odeon_analytics.edges import EdgeBook
from odeon_analytics.ports import Store, StoreUnavailable

_CACHE_LIMIT = 10_000
_log = logger(__name__)


def _now_us() -> int:
    return time.time_ns() // 1000


@dataclass(frozen=True, slots=True)
class Stated:
    """Figures and when they were true, Unix microseconds."""

    figures: Figures
    as_of_us: int


class FigureDesk:
    """Answers what an event adds up to; many watchers of an event cost one reading.

    Args:
        store: beacons and facts.
        edges: live load.
        interval_s: figures younger than this are given again.
        now_us: wall clock, Unix microseconds.
    """

    def __init__(
        self,
        store: Store,
        edges: EdgeBook,
        *,
        interval_s: float,
        now_us: Callable[[], int] = _now_us,
    ) -> None:
        self._store = store
        self._edges = edges
        self._interval_s = interval_s
        self._now_us = now_us
        self._cache: dict[tuple[str, str], Stated] = {}
        self._locks: dict[tuple[str, str], asyncio.Lock] = {}

    async def get(self, tenant: str, event: str) -> Stated:
        """Figures now; raises StoreUnavailable."""
        key = (tenant, event)
        if len(self._cache) > _CACHE_LIMIT:
            self._cache.clear()
            self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}
        async with self._locks.setdefault(key, asyncio.Lock()):
            known = self._cache.get(key)
            now_us = self._now_us()
            if known is not None and 0 <= now_us - known.as_of_us < self._interval_s * 1e6:
                return known
            stated = Stated(await self._work_out(tenant, event, now_us), now_us)
            self._cache[key] = stated
            return stated

    async def watch(self, tenant: str, event: str) -> AsyncIterator[Stated]:
        """Figures at first, and again whenever they changed; waits while the store is away."""
        last: Figures | None = None
        while True:
            try:
                stated = await self.get(tenant, event)
            except StoreUnavailable as error:
                if last is None:
                    raise
                _log.warning("figures_late", error=error.message)
            else:
                if stated.figures != last:
                    last = stated.figures
                    yield stated
            await asyncio.sleep(self._interval_s)

    async def _work_out(self, tenant: str, event: str, now_us: int) -> Figures:
        sessions = await self._store.sessions(tenant, event, now_us=now_us)
        delivery = Delivery(
            viewers_now=self._edges.viewers(tenant, event),
            peak_viewers=max(
                await self._store.peak(tenant, event), self._edges.peak(tenant, event)
            ),
            egress_bytes=await self._store.egress_bytes(tenant, event),
        )
        audience = concurrent_viewers(sessions, delivery)
        if audience > delivery.peak_viewers:
            await self._store.note_peak(tenant, event, audience)
        return add_up(sessions, delivery)
