"""Beacons on their way to the store: gathered for a moment, written together, then acknowledged.

While the store is away they go to NATS as facts instead, from where they come back; while both are
away the caller is told to try again. (session, sequence) makes every repetition harmless.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

import nats.errors
import nats.js.errors
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.logs import logger

from odeon_analytics.domain.beacons import Beacon
from odeon_analytics.domain.beacons import Kind as BeaconKind
from odeon_analytics.ports import Store, StoreUnavailable

QUEUE_LIMIT = 20_000
_log = logger(__name__)


class Overloaded(DomainError):
    """More beacons wait than the store takes."""

    kind = Kind.EXHAUSTED
    reason = "BEACONS_OVERLOADED"


@dataclass(frozen=True, slots=True)
class _Waiting:
    beacons: Sequence[Beacon]
    stored: asyncio.Future[None]


class Intake:
    """Group commit of beacons; one task writes.

    Args:
        store: where they go.
        bus: where they go while the store is away.
        flush_s: how long they are gathered, in seconds.
    """

    def __init__(self, store: Store, bus: Bus, *, flush_s: float) -> None:
        self._store = store
        self._bus = bus
        self._flush_s = flush_s
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._wake = asyncio.Event()

    async def add(self, beacons: Sequence[Beacon]) -> None:
        """Return when they are safe.

        Raises:
            StoreUnavailable: they are not known to be safe; sending them again is.
            Overloaded: too many wait already.
        """
        if not beacons:
            return
        if self._count + len(beacons) > QUEUE_LIMIT:
            raise Overloaded("too many beacons wait to be stored", retry_after_s=5.0)
        stored = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(beacons, stored))
        self._count += len(beacons)
        self._wake.set()
        await stored

    async def write(self) -> None:
        """Store what comes, for ever."""
        try:
            while True:
                await self._wake.wait()
                await asyncio.sleep(self._flush_s)
                await self._flush()
        finally:
            for waiting in self._waiting:
                waiting.stored.cancel()

    async def _flush(self) -> None:
        batch, self._waiting, self._count = self._waiting, [], 0
        self._wake.clear()
        beacons = [beacon for waiting in batch for beacon in waiting.beacons]
        try:
            await self._keep(beacons)
        except StoreUnavailable as error:
            for waiting in batch:
                if not waiting.stored.done():
                    waiting.stored.set_exception(error)
            return
        finally:
            for waiting in batch:
                if not waiting.stored.done():
                    waiting.stored.set_result(None)

    async def _keep(self, beacons: Sequence[Beacon]) -> None:
        try:
            await self._store.add_beacons(beacons)
        except StoreUnavailable as error:
            _log.warning("beacons_to_nats", count=len(beacons), error=error.message)
            await self._to_nats(beacons, error)

    async def _to_nats(self, beacons: Sequence[Beacon], error: StoreUnavailable) -> None:
        if not self._bus.connected.is_set():
            raise error
        path = "analytics.session.reported"
        try:
            for beacon in beacons:
                subject = subjects.fact(path, beacon.tenant, beacon.session)
                await self._bus.publish_now(subject, to_fact(beacon))
        except (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError) as failed:
            raise error from failed


def to_fact(beacon: Beacon) -> events_pb2.Envelope:
    """A beacon as an envelope; the same beacon always gets the same id."""
    at = Timestamp()
    at.FromMicroseconds(beacon.at_us)
    report = events_pb2.ViewerSessionReported(
        event_id=beacon.event,
        session_id=beacon.session,
        sequence=beacon.sequence,
        kind=beacon.kind.name,
        watched_ms=beacon.watched_ms,
        stalled_ms=beacon.stalled_ms,
        startup_ms=beacon.startup_ms,
        rendition=beacon.rendition,
        protocol=beacon.protocol,
        latency_ms=beacon.latency_ms,
        error=beacon.error,
    )
    return events_pb2.Envelope(
        id=f"{beacon.tenant}.{beacon.event}.{beacon.session}.{beacon.sequence}",
        tenant_id=beacon.tenant,
        occur_time=at,
        viewer_session_reported=report,
    )


def from_fact(envelope: events_pb2.Envelope) -> Beacon:
    """The beacon that an envelope carries; raises KeyError for a kind that we do not know."""
    report = envelope.viewer_session_reported
    return Beacon(
        tenant=envelope.tenant_id,
        event=report.event_id,
        session=report.session_id,
        sequence=report.sequence,
        at_us=envelope.occur_time.ToMicroseconds(),
        kind=BeaconKind[report.kind],
        watched_ms=report.watched_ms,
        stalled_ms=report.stalled_ms,
        startup_ms=report.startup_ms,
        latency_ms=report.latency_ms,
        protocol=report.protocol or "hls",
        rendition=report.rendition,
        error=report.error,
    )
