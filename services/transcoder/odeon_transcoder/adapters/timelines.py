"""Epochs over recorder's gRPC."""

import grpc
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc

from odeon_transcoder import messages
from odeon_transcoder.adapters.answers import asking, reason_of, retry_after_s
from odeon_transcoder.ports import Assignment, TimelineHeld, TimelineRefused, TimelineUnwritten

_TIMEOUT_S = 3.0
_KINDS = {
    "video": recorder_pb2.TrackSpec.KIND_VIDEO,
    "audio": recorder_pb2.TrackSpec.KIND_AUDIO,
}
_NAMES = {number: kind for kind, number in _KINDS.items()}


class GrpcTimelines:
    """Implements `ports.Timelines`."""

    def __init__(self, stub: "recorder_pb2_grpc.RecorderServiceStub") -> None:
        self._stub = stub

    async def acquire(
        self, assignment: Assignment, owner: str, renditions: tuple[messages.Rendition, ...]
    ) -> messages.Granted:
        """Get a new epoch with these renditions, or with those that are there."""
        request = recorder_pb2.AcquireTimelineRequest(
            tenant_id=assignment.tenant,
            event=f"events/{assignment.event}",
            owner=owner,
            tracks=[_spec(rendition) for rendition in renditions],
        )
        with asking(_refused):
            response = await self._stub.AcquireTimeline(request, timeout=_TIMEOUT_S)
        start = response.next_event_time
        return messages.Granted(
            epoch=response.epoch,
            next_msn=response.next_msn,
            next_event_time_s=start.seconds + start.nanos / 1e9,
            renditions=tuple(_rendition(spec) for spec in response.tracks),
        )

    async def heartbeat(self, assignment: Assignment, owner: str, epoch: int) -> None:
        """Keep an epoch."""
        request = recorder_pb2.HeartbeatRequest(
            tenant_id=assignment.tenant,
            event=f"events/{assignment.event}",
            owner=owner,
            epoch=epoch,
        )
        with asking(_refused):
            await self._stub.Heartbeat(request, timeout=_TIMEOUT_S)


def _spec(rendition: messages.Rendition) -> recorder_pb2.TrackSpec:
    return recorder_pb2.TrackSpec(
        track=rendition.track,
        kind=_KINDS[rendition.kind],
        codec=rendition.codec,
        bandwidth_bps=rendition.bandwidth_bps,
        width_px=rendition.width,
        height_px=rendition.height,
        frame_rate=rendition.frame_rate,
        part_target_s=rendition.part_target_s,
        segment_target_s=rendition.segment_target_s,
    )


def _rendition(spec: recorder_pb2.TrackSpec) -> messages.Rendition:
    return messages.Rendition(
        track=spec.track,
        kind=_NAMES[spec.kind],
        codec=spec.codec,
        bandwidth_bps=spec.bandwidth_bps,
        width=spec.width_px,
        height=spec.height_px,
        frame_rate=spec.frame_rate,
        part_target_s=spec.part_target_s,
        segment_target_s=spec.segment_target_s,
    )


def _refused(error: grpc.aio.AioRpcError) -> Exception:
    reason = reason_of(error)
    if reason == "TIMELINE_HELD":
        return TimelineHeld(retry_after_s(error, 0.2))
    return TimelineUnwritten() if reason == "TRACKS_MISSING" else TimelineRefused(reason)
