"""gRPC edge of a signaling node: parse, call the node, convert. Decides nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.grpc_server import Context
from odeon_runtime.ids import EventId, TenantId
from odeon_runtime.principal import current_principal

from odeon_signaling import convert
from odeon_signaling.domain.grants import EventKey
from odeon_signaling.media import MediaNode
from odeon_signaling.members import Member
from odeon_signaling.node import Node

_JOIN_WITHIN_S = 10.0


class SignalingServicer(signaling_pb2_grpc.SignalingServiceServicer):
    """One node of the SFU, for gateway, room and transcoders."""

    def __init__(self, node: Node, media: MediaNode) -> None:
        self._node = node
        self._media = media

    async def Stage(
        self, requests: AsyncIterator[signaling_pb2.StageRequest], context: Context
    ) -> AsyncIterator[signaling_pb2.StageResponse]:
        """One stage client: Join first, then messages both ways until one side ends."""
        member = await self._node.join((await _first(requests)).message.join)
        outbox = member.outbox
        assert outbox is not None, "stage members have one"
        # A stream that breaks off may never resume this generator, so this hangs on the call.
        context.add_done_callback(lambda _: self._node.detach(member, outbox))  # type: ignore[arg-type]
        reader = asyncio.create_task(self._read(member, requests), name="stage-reader")
        try:
            async for message in outbox.messages():
                yield signaling_pb2.StageResponse(message=message)
        finally:
            self._node.detach(member, outbox)
            reader.cancel()
            with suppress(asyncio.CancelledError):
                await reader

    async def _read(
        self, member: Member, requests: AsyncIterator[signaling_pb2.StageRequest]
    ) -> None:
        outbox = member.outbox
        async for request in requests:
            if member.outbox is outbox:
                self._node.handle(member, request.message)
        self._node.detach(member, outbox)
        if outbox is not None:
            outbox.end()

    async def Publish(
        self, request: signaling_pb2.PublishRequest, context: Context
    ) -> signaling_pb2.PublishResponse:
        """WHIP. Refusals: TOKEN_*, NOT_ADMITTED, SDP_*, NODE_DRAINING, TOO_MANY_SESSIONS."""
        session, answer, etag = await self._node.publish(
            request.token, request.event, request.sdp_offer
        )
        return signaling_pb2.PublishResponse(session_id=session, sdp_answer=answer, etag=etag)

    async def Play(
        self, request: signaling_pb2.PlayRequest, context: Context
    ) -> signaling_pb2.PlayResponse:
        """WHEP. Refusals as in Publish."""
        session, answer, etag = self._node.play(request.token, request.event, request.sdp_offer)
        return signaling_pb2.PlayResponse(session_id=session, sdp_answer=answer, etag=etag)

    async def PatchSession(
        self, request: signaling_pb2.PatchSessionRequest, context: Context
    ) -> signaling_pb2.PatchSessionResponse:
        """Trickle or ICE restart. Refusals: SESSION_NOT_FOUND, ETAG_MISMATCH."""
        fragment, etag = self._node.patch(
            request.token, request.session_id, request.sdp_fragment, request.if_match
        )
        return signaling_pb2.PatchSessionResponse(sdp_fragment=fragment, etag=etag)

    async def CloseSession(
        self, request: signaling_pb2.CloseSessionRequest, context: Context
    ) -> signaling_pb2.CloseSessionResponse:
        """End a WHIP or WHEP session."""
        self._node.close_session(request.token, request.session_id)
        return signaling_pb2.CloseSessionResponse()

    async def MuteParticipant(
        self, request: signaling_pb2.MuteParticipantRequest, context: Context
    ) -> signaling_pb2.MuteParticipantResponse:
        """A host's mute, for everybody and for tracks to come."""
        audio = request.audio_muted if request.HasField("audio_muted") else None
        video = request.video_muted if request.HasField("video_muted") else None
        self._node.mute(_key(request.tenant_id, request.event), request.identity, audio, video)
        return signaling_pb2.MuteParticipantResponse()

    async def KickParticipant(
        self, request: signaling_pb2.KickParticipantRequest, context: Context
    ) -> signaling_pb2.KickParticipantResponse:
        """Take somebody off; no refusal when it is not here."""
        key = _key(request.tenant_id, request.event)
        self._node.kick(key, request.identity, request.reason)
        return signaling_pb2.KickParticipantResponse()

    async def UpdateEvent(
        self, request: signaling_pb2.UpdateEventRequest, context: Context
    ) -> signaling_pb2.UpdateEventResponse:
        """Admit a participant, or end the event's sessions."""
        key = _key(request.tenant_id, request.event)
        self._node.update(key, admitted=request.admitted_identity, ended=request.ended)
        return signaling_pb2.UpdateEventResponse()

    async def GetNodeStats(
        self, request: signaling_pb2.GetNodeStatsRequest, context: Context
    ) -> signaling_pb2.GetNodeStatsResponse:
        """Counters of the media core, of all tenants' events. Refusals: PERMISSION_DENIED."""
        current_principal().require_alone()
        return convert.stats_to_proto(self._node.name, self._media.sfu.stats(), request.event_key)


async def _first(
    requests: AsyncIterator[signaling_pb2.StageRequest],
) -> signaling_pb2.StageRequest:
    try:
        async with asyncio.timeout(_JOIN_WITHIN_S):
            request = await anext(aiter(requests))
    except (StopAsyncIteration, TimeoutError):
        raise InvalidArgument(field="message", problem="the first message must be Join") from None
    if not request.message.HasField("join"):
        raise InvalidArgument(field="message", problem="the first message must be Join")
    return request


def _key(tenant: str, event: str) -> EventKey:
    return EventKey(
        TenantId.parse(current_principal().tenant_or(tenant)), EventId.parse_name(event)
    )
