"""The status of LiveEvents, made of what each pool decided; written only when it says more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from odeon_runtime.logs import logger
from odeon_runtime.tasks import wait_for

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
_BREATH = 100
"""Events after which other tasks have their turn."""
_log = logger(__name__)


@dataclass(slots=True)
class _Near:
    """What the pools of a namespace say; `known` once all of them were looked at."""

    views: list[Mapping[str, PoolView]] = field(default_factory=list)
    known: bool = True


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
            one, two = before.get(name), views.get(name)
            # Most are the very same: far more are booked than matter at a time.
            if one is not two and one != two:
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
            await wait_for(self._concerned, self._every_s)
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
        near = self._near(pools)
        seen = self._events.seen()
        self._forget({one.ref for one in seen})
        writes = 0
        for number, one in enumerate(seen):
            version = (one.uid, one.revision)
            unchanged = self._looked.get(one.ref) == version and one.ref not in self._due
            if unchanged and not everything:
                continue
            self._due.discard(one.ref)
            try:
                writes += await self._tell(one, near.get(one.ref.namespace, _Near()))
            except Unreachable:
                self._due.add(one.ref)
                self._all = self._all or everything
                raise
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        return writes

    def _near(self, pools: set[PoolRef]) -> Mapping[str, "_Near"]:
        """What pools say, by namespace."""
        found: dict[str, _Near] = {}
        for ref in pools:
            here = found.setdefault(ref.namespace, _Near())
            if ref in self._views:
                here.views.append(self._views[ref])
            elif self._usable(ref):
                here.known = False
        return found

    async def _tell(self, event: SeenEvent, near: "_Near") -> int:
        self._looked[event.ref] = (event.uid, event.revision)
        subject, now = self._events.subject(event), self._clock.now()
        if subject is None:
            return 0
        name = event.ref.name
        views = [views[name] for views in near.views if name in views]
        told = status(subject, views, now, known=near.known)
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
            _log.error("status_refused", live_event=name, error=str(error))
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
