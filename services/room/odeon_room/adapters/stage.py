"""Signaling nodes and the recorder by gRPC. Always room's own business: no caller passed on."""

from odeon.recorder.v1 import recorder_pb2
from odeon.signaling.v1 import signaling_pb2 as pb
from odeon.signaling.v1 import signaling_pb2_grpc
from odeon_runtime.errors import Unavailable
from odeon_runtime.grpc_client import Peers
from odeon_runtime.principal import acting_as

from odeon_room.adapters.asking import TIMEOUT_S, ordering


class SignalingStage:
    """Implements `ports.Stage`. Who is not on the node needs no telling."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def admit(self, node: str, tenant: str, event: str, identity: str) -> None:
        """Tell a waiting participant to come on."""
        request = pb.UpdateEventRequest(
            tenant_id=tenant, event=f"events/{event}", admitted_identity=identity
        )
        with acting_as(None), ordering("signaling"):
            await self._node(node).UpdateEvent(request, timeout=TIMEOUT_S)

    async def mute(
        self,
        node: str,
        tenant: str,
        event: str,
        identity: str,
        *,
        audio: bool | None,
        video: bool | None,
    ) -> None:
        """Mute or unmute for everybody."""
        request = pb.MuteParticipantRequest(
            tenant_id=tenant,
            event=f"events/{event}",
            identity=identity,
            audio_muted=audio,
            video_muted=video,
        )
        with acting_as(None), ordering("signaling"):
            await self._node(node).MuteParticipant(request, timeout=TIMEOUT_S)

    async def kick(self, node: str, tenant: str, event: str, identity: str, reason: str) -> None:
        """Take a participant off."""
        request = pb.KickParticipantRequest(
            tenant_id=tenant, event=f"events/{event}", identity=identity, reason=reason
        )
        with acting_as(None), ordering("signaling"):
            await self._node(node).KickParticipant(request, timeout=TIMEOUT_S)

    async def close(self, node: str, tenant: str, event: str) -> None:
        """End every session of an event."""
        request = pb.UpdateEventRequest(tenant_id=tenant, event=f"events/{event}", ended=True)
        with acting_as(None), ordering("signaling"):
            await self._node(node).UpdateEvent(request, timeout=TIMEOUT_S)

    def _node(self, address: str) -> signaling_pb2_grpc.SignalingServiceStub:
        if not address:
            raise Unavailable("the participant's signaling node is away", service="signaling")
        return self._peers.signaling(address)


class RecorderTimelines:
    """Implements `ports.Timelines`."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers

    async def end(self, tenant: str, event: str) -> None:
        """Close an event's timeline, whatever its epoch; one that never began is no error."""
        request = recorder_pb2.EndTimelineRequest(tenant_id=tenant, event=f"events/{event}")
        with acting_as(None), ordering("recorder"):
            await self._peers.recorder.EndTimeline(request, timeout=TIMEOUT_S)
