"""What room tells of bookings, and edges of their audiences, over NATS."""

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import aclosing
from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from odeon.bookings.v1 import bookings_pb2 as pb
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bookings import Bookings, Key, Told
from odeon_runtime.bus import Bus
from odeon_runtime.kv import Mark
from odeon_runtime.logs import logger

from odeon_operator.domain.projecting import BookingFact, name_of
from odeon_operator.ports import Clock

_FRESH_S = 5.0
"""Edges report every second; one that missed four is not counted."""
_ADDED_UP_S = 1.0
_log = logger(__name__)


class KvBookings:
    """All bookings, as room tells them.

    Args:
        changed: called when something new was heard.
    """

    def __init__(self, bus: Bus, changed: Callable[[], None]) -> None:
        self._bookings = Bookings(bus)
        self._changed = changed
        self._facts: dict[Key, BookingFact] = {}
        self._by_name: dict[str, BookingFact] = {}
        self._current = False

    async def follow(self) -> None:
        """Hear all bookings, for ever.

        What was heard stays while NATS is away, and of a bucket that was lost until it is filled.
        """
        async with aclosing(self._bookings.watch()) as telling:
            async for told in telling:
                if isinstance(told, Mark):
                    self._current = told is Mark.CURRENT
                else:
                    self._hear(told)
                self._changed()

    def facts(self) -> Collection[BookingFact]:
        """See `ports.BookingFacts`."""
        return self._facts.values()

    def running(self, name: str) -> Mapping[str, int] | None:
        """See `ports.BookingFacts`."""
        fact = self._by_name.get(name) if self._current else None
        return dict(fact.running) if fact is not None else None

    def _hear(self, told: Told) -> None:
        name = name_of(*told.key)
        if told.raw is None:
            self._facts.pop(told.key, None)
            self._by_name.pop(name or "", None)
        elif told.booking is not None:
            fact = _fact(told.booking)
            if fact is None:
                _log.warning("booking_without_times", tenant=told.key[0], event_id=told.key[1])
                return
            self._facts[told.key] = fact
            if name is not None:
                self._by_name[name] = fact


class EdgeAudiences:
    """Viewers by event, as edges report them every second."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._edges: dict[str, tuple[float, Mapping[str, int]]] = {}
        self._added_up: tuple[float, Mapping[str, int] | None] = (-_ADDED_UP_S, None)

    async def start(self) -> None:
        """Hear reports from now on."""
        await self._bus.subscribe(subjects.EDGE_LOAD, self._hear)

    def viewers(self, name: str) -> int | None:
        """See `ports.Audiences`."""
        now = self._clock.monotonic()
        if now - self._added_up[0] >= _ADDED_UP_S:
            self._added_up = (now, self._sum(now))
        known = self._added_up[1]
        return known.get(name, 0) if known is not None else None

    def _sum(self, now: float) -> Mapping[str, int] | None:
        self._edges = {e: told for e, told in self._edges.items() if now - told[0] <= _FRESH_S}
        if not self._edges:
            return None
        total: dict[str, int] = {}
        for _, events in self._edges.values():
            for name, viewers in events.items():
                total[name] = total.get(name, 0) + viewers
        return total

    async def _hear(self, _subject: str, body: events_pb2.Envelope) -> None:
        load = body.edge_load_reported
        events: dict[str, int] = {}
        for one in load.events:
            name = name_of(one.tenant_id, one.event_id)
            if name is not None:
                events[name] = events.get(name, 0) + max(0, one.viewers)
        self._edges[load.edge] = (self._clock.monotonic(), events)


def _fact(booking: pb.Booking) -> BookingFact | None:
    if not booking.HasField("schedule_time") or not booking.HasField("schedule_end_time"):
        return None
    return BookingFact(
        tenant=booking.tenant_id,
        event=booking.event_id,
        start=booking.schedule_time.ToDatetime(UTC),
        end=booking.schedule_end_time.ToDatetime(UTC),
        started=_time(booking.start_time) if booking.HasField("start_time") else None,
        ended=_time(booking.end_time) if booking.HasField("end_time") else None,
        cancelled=booking.state == pb.Booking.STATE_CANCELLED,
        viewers=booking.expected_viewers,
        registrations=booking.registrations,
        expected=_jobs(booking.expected_transcodes),
        running=_jobs(booking.running_transcodes),
    )


def _jobs(jobs: Iterable[pb.Transcodes]) -> tuple[tuple[str, int], ...]:
    return tuple((one.profile, one.count) for one in jobs if one.profile and one.count > 0)


def _time(moment: Timestamp) -> datetime:
    return moment.ToDatetime(UTC)
