"""Bookings in NATS: what room's database says, in a bucket that has one entry for each.

```
 database ─ changes, in the same transaction ─┐
          ─ everything, when the bucket is new ┴► compare ─► put after the revision that was read
 bucket ─ what stands ─────────────────────────┘
```
"""

import asyncio
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing
from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from odeon.bookings.v1 import bookings_pb2 as pb
from odeon_runtime.bookings import Bookings, Key, Told, written
from odeon_runtime.errors import DomainError
from odeon_runtime.kv import BucketUnknown, Mark, Superseded
from odeon_runtime.logs import logger
from odeon_runtime.tasks import wait_for

from odeon_room.domain import bookings
from odeon_room.domain.bookings import TOLD_AFTER, Booking, BookingState
from odeon_room.domain.events import Event
from odeon_room.domain.jobs import Job
from odeon_room.ports import Store

_BATCH = 100
_LOOK_S = 2.0
"""For the changes of another instance that went away; this one's own are told of at once."""
_ALL_S = 600.0
"""Everything is compared this often: what is long over goes, whatever went wrong is put right."""
_RETRY_S = 1.0
_TRIES = 3
_STATES = {
    BookingState.SCHEDULED: pb.Booking.STATE_SCHEDULED,
    BookingState.WARMUP: pb.Booking.STATE_WARMUP,
    BookingState.LIVE: pb.Booking.STATE_LIVE,
    BookingState.ENDED: pb.Booking.STATE_ENDED,
    BookingState.CANCELLED: pb.Booking.STATE_CANCELLED,
}
_log = logger(__name__)


class BookingRelay:
    """Keeps the bucket equal to the database.

    A change is forgotten only after NATS has stored what came of it. Several instances do this at
    once: each writes only after the revision that it had seen before it read the database, so that
    of two that differ the one that read later stays.

    Args:
        store: room's.
        bucket: where bookings are told.
        booked: is set when there is something to tell.
        now: the wall clock.
    """

    def __init__(
        self, store: Store, bucket: Bookings, booked: asyncio.Event, now: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._bucket = bucket
        self._booked = booked
        self._now = now
        self._standing: dict[Key, Told] = {}
        self._current = False
        self._all_due = 0.0

    async def hear(self) -> None:
        """Know what stands in the bucket, for ever."""
        async with aclosing(self._bucket.watch()) as telling:
            async for told in telling:
                if told is Mark.UNKNOWN:
                    self._current = False
                    self._standing.clear()
                elif told is Mark.CURRENT:
                    # A server that lost its disk has lost the bucket, too.
                    self._current, self._all_due = True, 0.0
                    self._booked.set()
                elif isinstance(told, Told):
                    self._note(told)

    async def run(self) -> None:
        """Tell what changes, for ever."""
        while True:
            try:
                self._booked.clear()
                if self._current and time.monotonic() >= self._all_due:
                    await self.tell_all()
                    self._all_due = time.monotonic() + _ALL_S
                if not self._current or await self.tell_changes() < _BATCH:
                    await wait_for(self._booked, _LOOK_S)
            except (BucketUnknown, Superseded) as error:
                _log.warning("bookings_wait", error=str(error))
                await asyncio.sleep(_RETRY_S)
            except DomainError as error:
                _log.warning("bookings_wait", reason=error.reason)
                await asyncio.sleep(_RETRY_S)

    async def tell_changes(self) -> int:
        """Tell one batch of changes; returns how many it was."""
        changes = await self._store.changed_bookings(_BATCH)
        for key in dict.fromkeys((change.tenant, change.event) for change in changes):
            await self._tell(key)
        if changes:
            await self._store.forget_changes(changes)
        return len(changes)

    async def tell_all(self) -> None:
        """Compare everything."""
        standing = dict(self._standing)
        jobs: dict[Key, list[Job]] = {}
        for job in await self._store.unfinished_jobs():
            jobs.setdefault((job.tenant, job.event), []).append(job)
        wanted: set[Key] = set()
        for placed in await self._store.planned_events(ended_after=self._now() - TOLD_AFTER):
            key: Key = (placed.tenant, placed.event.id)
            found = self._booking(placed.event, jobs.get(key, ()))
            if found is None:
                continue
            wanted.add(key)
            if not _is(standing.get(key), _body(key[0], found)):
                await self._tell(key)
        for key, told in standing.items():
            if told.raw is not None and key not in wanted:
                await self._tell(key)

    async def _tell(self, key: Key) -> None:
        """Make what stands of one booking what the database says of it."""
        for _ in range(_TRIES):
            standing = self._standing.get(key)
            found = await self._read(key)
            if found is None:
                if standing is not None and standing.raw is not None:
                    await self._bucket.remove(key)
                return
            body = _body(key[0], found)
            if _is(standing, body):
                return
            after = standing.revision if standing is not None else 0
            try:
                revision = await self._bucket.put(body, after=after)
            except Superseded:
                await self._look(key)
                continue
            self._note(Told(key, body, written(body), revision))
            return
        raise Superseded(f"{key} is changed again and again")

    async def _read(self, key: Key) -> Booking | None:
        tenant, event_id = key
        async with self._store.reading(tenant) as tx:
            event = await tx.event(event_id)
            return self._booking(event, await tx.jobs_of(event_id)) if event is not None else None

    def _booking(self, event: Event, jobs: Iterable[Job]) -> Booking | None:
        found = bookings.booking(event, jobs)
        return found if found is not None and found.told_at(self._now()) else None

    async def _look(self, key: Key) -> None:
        """Ask the bucket itself: what is heard of it may come later, or may be forgotten there."""
        self._standing.pop(key, None)
        found = await self._bucket.of(key)
        if found is not None:
            self._standing[key] = found

    def _note(self, told: Told) -> None:
        known = self._standing.get(told.key)
        if known is None or told.revision >= known.revision:
            self._standing[told.key] = told


def _is(standing: Told | None, body: pb.Booking) -> bool:
    return standing is not None and standing.raw == written(body)


def _body(tenant: str, booking: Booking) -> pb.Booking:
    return pb.Booking(
        tenant_id=tenant,
        event_id=booking.event,
        state=_STATES[booking.state],
        schedule_time=_time(booking.start),
        schedule_end_time=_time(booking.end),
        start_time=_time(booking.started),
        end_time=_time(booking.ended),
        expected_viewers=booking.expected_viewers,
        registrations=booking.registrations,
        expected_transcodes=_jobs(booking.expected),
        running_transcodes=_jobs(booking.running),
    )


def _jobs(jobs: Iterable[tuple[str, int]]) -> list[pb.Transcodes]:
    return [pb.Transcodes(profile=profile, count=count) for profile, count in jobs]


def _time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment)
    return message
