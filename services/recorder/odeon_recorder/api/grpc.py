"""gRPC edge of the recorder: parse, call one use case, convert."""

from contextlib import suppress

from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.grpc_server import Context
from odeon_runtime.ids import EventId, Identity, TenantId
from odeon_runtime.principal import current_principal

from odeon_recorder.api import convert
from odeon_recorder.domain.refusals import TimelineNotFound
from odeon_recorder.ports import Key
from odeon_recorder.usecases.live import LiveTimeline
from odeon_recorder.usecases.recorder import Recorder

MAX_TRACKS = 16
DEFAULT_PAGE = 50
MAX_PAGE = 200


class TimelineId(EventId):
    """A timeline has its event's id."""

    prefix = "timelines"


class RecorderServicer(recorder_pb2_grpc.RecorderServiceServicer):
    """Who may write timelines, and what they hold."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def AcquireTimeline(
        self, request: recorder_pb2.AcquireTimelineRequest, context: Context
    ) -> recorder_pb2.AcquireTimelineResponse:
        """Grant the next epoch.

        Refusals: TIMELINE_HELD (with a time to try again), TIMELINE_ENDED, TRACKS_MISSING,
        TRACKS_MISMATCH, DISK_FULL.
        """
        if len(request.tracks) > MAX_TRACKS:
            raise InvalidArgument(field="tracks", problem=f"are {MAX_TRACKS} at most")
        live, granted = await self._recorder.acquire(
            _key(request.tenant_id, request.event),
            Identity.parse(request.owner),
            [convert.spec_from_proto(spec) for spec in request.tracks],
        )
        return convert.granted_to_proto(granted, live.timeline.origin_ms)

    async def Heartbeat(
        self, request: recorder_pb2.HeartbeatRequest, context: Context
    ) -> recorder_pb2.HeartbeatResponse:
        """Keep an epoch. Refusals: TIMELINE_FENCED, TIMELINE_ENDED, TIMELINE_NOT_FOUND."""
        live = await self._recorder.find(_key(request.tenant_id, request.event))
        live.heartbeat(request.epoch)
        return recorder_pb2.HeartbeatResponse()

    async def EndTimeline(
        self, request: recorder_pb2.EndTimelineRequest, context: Context
    ) -> recorder_pb2.EndTimelineResponse:
        """Close for ever; asking again is fine. Refusals: TIMELINE_FENCED, TIMELINE_NOT_FOUND."""
        live = await self._recorder.find(_key(request.tenant_id, request.event))
        await live.end(request.epoch)
        return recorder_pb2.EndTimelineResponse(timeline=convert.timeline_to_proto(live.timeline))

    async def GetTimeline(
        self, request: recorder_pb2.GetTimelineRequest, context: Context
    ) -> recorder_pb2.GetTimelineResponse:
        """A timeline of the caller's tenant. Refusals: TIMELINE_NOT_FOUND."""
        caller = current_principal()
        event = TimelineId.parse_name(request.name)
        caller.require_event(event)
        live = await self._recorder.find(Key(caller.require_tenant(), event))
        return recorder_pb2.GetTimelineResponse(timeline=convert.timeline_to_proto(live.timeline))

    async def ListTimelines(
        self, request: recorder_pb2.ListTimelinesRequest, context: Context
    ) -> recorder_pb2.ListTimelinesResponse:
        """Timelines of the caller's tenant by event id; the page token is the last id seen."""
        caller = current_principal()
        size = min(request.page_size or DEFAULT_PAGE, MAX_PAGE)
        if size < 0:
            raise InvalidArgument(field="page_size", problem="is not negative")
        after = EventId.parse(request.page_token) if request.page_token else ""
        keys = await self._recorder.list(caller.require_tenant())
        found = [k for k in keys if k.event > after and caller.event in (None, k.event)]
        page: list[LiveTimeline] = []
        for key in found[:size]:
            with suppress(TimelineNotFound):  # deleted since it was listed
                page.append(await self._recorder.find(key))
        return recorder_pb2.ListTimelinesResponse(
            timelines=[convert.timeline_to_proto(live.timeline) for live in page],
            next_page_token=found[size - 1].event if len(found) > size else "",
        )

    async def DeleteTimeline(
        self, request: recorder_pb2.DeleteTimelineRequest, context: Context
    ) -> recorder_pb2.DeleteTimelineResponse:
        """Delete an ended timeline everywhere. Refusals: TIMELINE_NOT_FOUND, TIMELINE_LIVE."""
        caller = current_principal()
        event = TimelineId.parse_name(request.name)
        caller.require_event(event)
        await self._recorder.delete(Key(caller.require_tenant(), event))
        return recorder_pb2.DeleteTimelineResponse()


def _key(tenant: str, event: str) -> Key:
    tenant = current_principal().tenant_or(tenant)
    return Key(TenantId.parse(tenant), EventId.parse_name(event))
