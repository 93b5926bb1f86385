"""gRPC edge of analytics: parse, ask, convert."""

import time
from collections.abc import AsyncIterator

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.grpc_server import Context
from odeon_runtime.ids import EventId
from odeon_runtime.principal import Principal, current_principal

from odeon_analytics.domain.beacons import Beacon, Kind, check_batch
from odeon_analytics.figures import FigureDesk, Stated
from odeon_analytics.intake import Intake


class AnalyticsServicer(analytics_pb2_grpc.AnalyticsServiceServicer):
    """The tenant, the event and the session all come from the credential."""

    def __init__(self, intake: Intake, desk: FigureDesk) -> None:
        self._intake = intake
        self._desk = desk

    async def SendBeacons(
        self, request: analytics_pb2.SendBeaconsRequest, context: Context
    ) -> analytics_pb2.SendBeaconsResponse:
        """Return when the beacons are safe.

        Refusals: INVALID_ARGUMENT, NOT_FOUND (another event), STORE_UNAVAILABLE,
        BEACONS_OVERLOADED.
        """
        caller, event = _scope(request.event)
        if not caller.session_id:
            raise InvalidArgument(field="token", problem="beacons need a session's token")
        now_us = time.time_ns() // 1000
        beacons = [_beacon(b, caller, event, now_us) for b in request.beacons]
        check_batch(beacons)
        await self._intake.add(beacons)
        return analytics_pb2.SendBeaconsResponse()

    async def GetEventStats(
        self, request: analytics_pb2.GetEventStatsRequest, context: Context
    ) -> analytics_pb2.GetEventStatsResponse:
        """Figures up to now."""
        caller, event = _scope(request.event)
        stated = await self._desk.get(caller.require_tenant(), event)
        return analytics_pb2.GetEventStatsResponse(stats=to_proto(event, stated))

    async def WatchEventStats(
        self, request: analytics_pb2.WatchEventStatsRequest, context: Context
    ) -> AsyncIterator[analytics_pb2.WatchEventStatsResponse]:
        """Figures now, and whenever they change."""
        caller, event = _scope(request.event)
        async for stated in self._desk.watch(caller.require_tenant(), event):
            yield analytics_pb2.WatchEventStatsResponse(stats=to_proto(event, stated))


def _scope(name: str) -> tuple[Principal, EventId]:
    caller = current_principal()
    caller.require_tenant()
    event = EventId.parse_name(name)
    caller.require_event(event)
    return caller, event


def _beacon(beacon: analytics_pb2.Beacon, caller: Principal, event: str, now_us: int) -> Beacon:
    try:
        kind = Kind(beacon.kind)
    except ValueError as error:
        raise InvalidArgument(field="beacons.kind", problem="unknown kind") from error
    return Beacon(
        tenant=caller.require_tenant(),
        event=event,
        session=caller.session_id,
        sequence=beacon.sequence,
        at_us=now_us,
        kind=kind,
        watched_ms=beacon.watched.ToMilliseconds(),
        stalled_ms=beacon.stalled.ToMilliseconds(),
        startup_ms=beacon.startup.ToMilliseconds(),
        latency_ms=beacon.latency.ToMilliseconds(),
        protocol=beacon.protocol or "hls",
        rendition=beacon.rendition,
        error=beacon.error,
    )


def to_proto(event: EventId, stated: Stated) -> analytics_pb2.EventStats:
    """Figures on the wire; a percentile that nobody has yet is left out."""
    figures = stated.figures
    as_of = Timestamp()
    as_of.FromMicroseconds(stated.as_of_us)
    return analytics_pb2.EventStats(
        event=event.resource_name,
        concurrent_viewers=figures.concurrent,
        peak_concurrent_viewers=figures.peak,
        unique_viewers=figures.unique,
        watch_time=_duration(figures.watched_ms),
        startup_time_p50=_duration(figures.startup_p50_ms),
        startup_time_p95=_duration(figures.startup_p95_ms),
        rebuffer_ratio=figures.rebuffer_ratio,
        exit_before_start_ratio=figures.exit_before_start_ratio,
        errors=figures.errors,
        as_of=as_of,
        egress_bytes=figures.egress_bytes,
    )


def _duration(milliseconds: int | None) -> Duration | None:
    if milliseconds is None:
        return None
    duration = Duration()
    duration.FromMilliseconds(milliseconds)
    return duration
