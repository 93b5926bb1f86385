"""Announcements become Kubernetes Events, without ever holding up a look at a pool.

What is told again of the same pool for the same reason is counted (a series of events.k8s.io) and
written at most once a minute; a pool that has too much to tell is cut short. So a pool that flaps
costs the API server a few writes a minute, and one at rest none.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from odeon_runtime.logs import logger

from odeon_operator.domain.announcements import Announcement
from odeon_operator.ports import Clock, Lease, Outdated, PoolFacts, Refused, Unreachable
from odeon_operator.usecases import meters

QUEUE = 256
SERIES_FOR = timedelta(minutes=6)
"""A repetition after so long is a new event: client-go ends its series then, too."""
SERIES_EVERY = timedelta(minutes=1)
BURST = 10
REFILL = timedelta(seconds=30)
"""A pool may tell `BURST` new things at once and one more each of these."""
Announce = Callable[[PoolFacts, tuple[Announcement, ...]], None]
_log = logger(__name__)


def unheard(_pool: PoolFacts, _told: tuple[Announcement, ...]) -> None:
    """Nobody listens."""


class Events(Protocol):
    """The API server's Events."""

    async def create(self, pool: PoolFacts, told: Announcement, at: datetime) -> str:
        """Write a new one; returns its name.

        Raises:
            Outdated, Refused, Unreachable: it is not written.
        """
        ...

    async def repeat(self, pool: PoolFacts, name: str, count: int, at: datetime) -> None:
        """Say how often it happened by now; raises as `create`."""
        ...


@dataclass(slots=True)
class _Series:
    """One event and its repetitions."""

    name: str
    count: int
    last: datetime
    written: datetime


@dataclass(slots=True)
class _Voice:
    """What a pool told lately, and how much more it may."""

    left: float = BURST
    since: datetime | None = None
    series: dict[tuple[str, str], _Series] = field(default_factory=dict)

    def may(self, now: datetime) -> bool:
        """Whether something new may be told now; it counts."""
        if self.since is not None:
            self.left = min(BURST, self.left + (now - self.since) / REFILL)
        self.since = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Announcer:
    """Writes what looks at pools have to tell. `announce` never waits; `run` is a task."""

    def __init__(self, events: Events, lease: Lease, clock: Clock) -> None:
        self._events = events
        self._lease = lease
        self._clock = clock
        self._queue = asyncio.Queue[tuple[PoolFacts, Announcement]](QUEUE)
        self._voices: dict[str, _Voice] = {}
        self._trouble = ""

    def announce(self, pool: PoolFacts, told: tuple[Announcement, ...]) -> None:
        """Tell it soon; when there is too much, not at all."""
        for one in told:
            with suppress(asyncio.QueueFull):
                self._queue.put_nowait((pool, one))
                continue
            meters.EVENTS.labels("dropped").inc()

    async def run(self) -> None:
        """Write for ever."""
        while True:
            await self.tell(*await self._queue.get())

    async def tell(self, pool: PoolFacts, told: Announcement) -> None:
        """Write one thing, or count it."""
        if not self._lease.held:
            return
        try:
            await self._tell(pool, told)
            self._trouble = ""
        except (Outdated, Refused, Unreachable) as error:
            meters.EVENTS.labels("failed").inc()
            if str(error) != self._trouble:
                _log.warning("event_not_written", error=str(error))
            self._trouble = str(error)

    async def _tell(self, pool: PoolFacts, told: Announcement) -> None:
        now = self._clock.now()
        self._forget(now)
        voice = self._voices.setdefault(pool.uid, _Voice())
        key = (told.reason, told.action)
        series = voice.series.get(key)
        if series is not None and now - series.last < SERIES_FOR:
            series.count, series.last = series.count + 1, now
            if now - series.written >= SERIES_EVERY:
                series.written = now
                await self._events.repeat(pool, series.name, series.count, now)
                meters.EVENTS.labels("repeated").inc()
            return
        if not voice.may(now):
            meters.EVENTS.labels("dropped").inc()
            return
        name = await self._events.create(pool, told, now)
        voice.series[key] = _Series(name, 1, now, now)
        meters.EVENTS.labels("created").inc()

    def _forget(self, now: datetime) -> None:
        """Of pools that told nothing for a while nothing is kept."""
        quiet = [
            uid
            for uid, voice in self._voices.items()
            if voice.since is not None
            and now - voice.since > BURST * REFILL
            and all(now - series.last > SERIES_FOR for series in voice.series.values())
        ]
        for uid in quiet:
            del self._voices[uid]
