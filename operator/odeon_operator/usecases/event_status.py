"""The status of LiveEvents, made of what each pool decided; written only when it says more."""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from odeon_runtime.logs import logger

from odeon_operator.domain.booking_status import EventStatus, PoolView, status
from odeon_operator.domain.projecting import EventRef
from odeon_operator.ports import (
    Clock,
    Cluster,
    Lease,
    LiveEvents,
    Outdated,
    PoolRef,
    Refused,
    SeenEvent,
    Unreachable,
)

SPACING = timedelta(seconds=30)
"""Between two writes that only tell other amounts; a phase or a condition is told at once."""
_SETTLE_S = 0.1
_log = logger(__name__)


class EventStatuses:
    """Tells of each LiveEvent where it stands."""

    def __init__(
        self,
        events: LiveEvents,
        cluster: Cluster,
        lease: Lease,
        *,
        clock: Clock,
        every_s: float,
    ) -> None:
        self._events = events
        self._cluster = cluster
        self._lease = lease
        self._clock = clock
        self._every_s = every_s
        self._views: dict[PoolRef, Mapping[str, PoolView]] = {}
        self._looked: dict[EventRef, tuple[str, str]] = {}
        self._due: set[EventRef] = set()
        self._written: dict[EventRef, datetime] = {}
        self._concerned = asyncio.Event()
        self._all = True

    def note(self, pool: PoolRef, views: Mapping[str, PoolView]) -> None:
        """A pool was looked at; what it says of its bookings."""
        before = self._views.get(pool)
        self._views[pool] = views
        if before is None:
            self.everything()
            return
        for name in before.keys() | views.keys():
            if before.get(name) != views.get(name):
                self._due.add(EventRef(pool.namespace, name))
        if self._due:
            self._concerned.set()

    def everything(self) -> None:
        """Whatever stands may have to say something else: tenants or pools came or went."""
        self._all = True
        self._concerned.set()

    def concerns(self) -> None:
        """A LiveEvent is another one."""
        self._concerned.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._concerned.clear()
            if self._lease.held:
                try:
                    await self.look()
                except Unreachable as error:
                    _log.warning("unreachable", error=str(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await self._concerned.wait()
            await asyncio.sleep(_SETTLE_S)

    async def look(self) -> int:
        """Look once at what may have to say something else; returns how many were written.

        Raises:
            Unreachable: the API server is away.
        """
        pools = set(self._cluster.pools())
        if self._views.keys() - pools:
            self._views = {ref: seen for ref, seen in self._views.items() if ref in pools}
            self._all = True
        everything, self._all = self._all, False
        writes = 0
        seen = self._events.seen()
        self._forget({one.ref for one in seen})
        for one in seen:
            version = (one.uid, one.revision)
            unchanged = self._looked.get(one.ref) == version and one.ref not in self._due
            if unchanged and not everything:
                continue
            self._due.discard(one.ref)
            writes += await self._tell(one, pools)
        return writes

    async def _tell(self, event: SeenEvent, pools: set[PoolRef]) -> int:
        self._looked[event.ref] = (event.uid, event.revision)
        subject, now = self._events.subject(event), self._clock.now()
        if subject is None:
            return 0
        near = [ref for ref in pools if ref.namespace == event.ref.namespace]
        known = all(ref in self._views or not self._usable(ref) for ref in near)
        views = [
            found
            for ref in near
            if (found := self._views.get(ref, {}).get(event.ref.name)) is not None
        ]
        told = status(subject, views, now, known=known)
        if told is None or told == subject.before or not self._lease.held:
            return 0
        if not self._worth(subject.before, told, event.ref, now):
            self._due.add(event.ref)
            return 0
        try:
            await self._events.write_status(event, told)
        except Outdated:
            self._due.add(event.ref)
            return 0
        except Refused as error:
            _log.error("status_refused", live_event=event.ref.name, error=str(error))
        self._written[event.ref] = now
        return 1

    def _worth(
        self, before: EventStatus | None, told: EventStatus, ref: EventRef, now: datetime
    ) -> bool:
        """Whether it is told now: amounts alone may wait."""
        last = self._written.get(ref)
        if before is None or last is None or not timedelta(0) <= now - last < SPACING:
            return True
        amounts = {"reserved": told.reserved, "peak": told.peak, "prewarm": told.prewarm}
        return replace(before, **amounts) != told  # type: ignore[arg-type]

    def _usable(self, ref: PoolRef) -> bool:
        facts = self._cluster.pool(ref)
        return facts is not None and facts.pool is not None

    def _forget(self, standing: set[EventRef]) -> None:
        """What is gone is not remembered."""
        self._due &= standing
        for memory in (self._looked, self._written):
            for ref in [ref for ref in memory if ref not in standing]:
                del memory[ref]
