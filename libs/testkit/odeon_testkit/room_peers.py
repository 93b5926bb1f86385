"""The services around room, as small as a test wants them, over real gRPC; and room's callers."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import grpc
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon.room.v1 import room_pb2 as pb
from odeon.room.v1 import room_pb2_grpc
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon_runtime.errors import NotFound, PermissionDenied, Unavailable
from odeon_runtime.grpc_server import Context, GrpcServer
from odeon_runtime.ids import new_id
from odeon_runtime.principal import current_principal
from odeon_runtime.tokens import Audience

from odeon_testkit.callers import Caller
from odeon_testkit.issuer import Issuer, IssuerAuth

_KINDS = {
    auth_pb2.TOKEN_KIND_INVITE: (Audience.INVITE, ("events.enter", "tokens.issue")),
    auth_pb2.TOKEN_KIND_JOIN: (Audience.STAGE, ()),
    auth_pb2.TOKEN_KIND_PUBLISH: (Audience.PUBLISH, ()),
    auth_pb2.TOKEN_KIND_PLAYBACK: (Audience.PLAYBACK, ()),
    auth_pb2.TOKEN_KIND_ACCESS: (Audience.API, ("events.get", "events.enter", "tokens.issue")),
}


class DeskAuth(IssuerAuth):
    """An auth that issues whatever is asked and remembers it; rights are tested with the real one.

    Attributes:
        orders: what was asked for, in order.
        revoked_sessions: sessions that were ended.
    """

    def __init__(self, issuer: Issuer) -> None:
        super().__init__(issuer)
        self.orders: list[auth_pb2.IssueTokenRequest] = []
        self.revoked_sessions: list[tuple[str, str]] = []

    async def IssueToken(
        self, request: auth_pb2.IssueTokenRequest, context: Context
    ) -> auth_pb2.IssueTokenResponse:
        """Issue anything."""
        self.orders.append(request)
        audience, permissions = _KINDS[request.kind]
        session_id = request.session_id or new_id("s")
        made_up = "link" if audience is Audience.INVITE else "p"
        token = self.issuer.token(
            audience,
            tenant=current_principal().tenant_or(request.tenant_id),
            event=request.event.removeprefix("events/"),
            subject=request.identity or new_id(made_up),
            role=request.role,
            name=request.display_name,
            session_id=session_id,
            permissions=permissions,
        )
        response = auth_pb2.IssueTokenResponse(token=token, session_id=session_id)
        response.expire_time.FromSeconds(int(time.time()) + 3600)
        return response

    async def RevokeSession(
        self, request: auth_pb2.RevokeSessionRequest, context: Context
    ) -> auth_pb2.RevokeSessionResponse:
        """Remember it."""
        self.revoked_sessions.append((current_principal().require_tenant(), request.session_id))
        return auth_pb2.RevokeSessionResponse()


class ScriptedSignaling(signaling_pb2_grpc.SignalingServiceServicer):
    """A node that remembers what room told it, as text, e.g. "kick launch/bob KICKED"."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.changed = asyncio.Event()

    def _note(self, text: str) -> None:
        self.told.append(text)
        self.changed.set()

    async def UpdateEvent(
        self, request: signaling_pb2.UpdateEventRequest, context: Context
    ) -> signaling_pb2.UpdateEventResponse:
        """Remember an admission or an end."""
        what = "end" if request.ended else f"admit {request.admitted_identity}"
        self._note(f"{what} {request.tenant_id}/{request.event.removeprefix('events/')}")
        return signaling_pb2.UpdateEventResponse()

    async def KickParticipant(
        self, request: signaling_pb2.KickParticipantRequest, context: Context
    ) -> signaling_pb2.KickParticipantResponse:
        """Remember whom; nobody called "nobody" is here."""
        if request.identity == "nobody":
            raise NotFound("not here")
        self._note(f"kick {request.identity} {request.reason}")
        return signaling_pb2.KickParticipantResponse()

    async def MuteParticipant(
        self, request: signaling_pb2.MuteParticipantRequest, context: Context
    ) -> signaling_pb2.MuteParticipantResponse:
        """Remember what of whom."""
        audio = request.audio_muted if request.HasField("audio_muted") else None
        video = request.video_muted if request.HasField("video_muted") else None
        self._note(f"mute {request.identity} audio={audio} video={video}")
        return signaling_pb2.MuteParticipantResponse()


class ScriptedRecorder(recorder_pb2_grpc.RecorderServiceServicer):
    """A recorder that remembers which timelines were ended.

    Attributes:
        fail: how often it is away first.
        refuse: how often it refuses after that.
    """

    def __init__(self) -> None:
        self.ended: list[str] = []
        self.fail = 0
        self.refuse = 0

    async def EndTimeline(
        self, request: recorder_pb2.EndTimelineRequest, context: Context
    ) -> recorder_pb2.EndTimelineResponse:
        """Remember it."""
        if self.fail:
            self.fail -= 1
            raise Unavailable("not now")
        if self.refuse:
            self.refuse -= 1
            raise PermissionDenied("not you")
        self.ended.append(f"{request.tenant_id}/{request.event}")
        return recorder_pb2.EndTimelineResponse()


@dataclass(frozen=True, slots=True)
class RoomPeers:
    """Everybody around room, running."""

    issuer: Issuer
    auth: DeskAuth
    auth_address: str
    node: ScriptedSignaling
    node_address: str
    recorder: ScriptedRecorder
    recorder_address: str


@asynccontextmanager
async def room_peers() -> AsyncIterator[RoomPeers]:
    """Auth, one signaling node and a recorder on free ports."""
    issuer = Issuer()
    auth = DeskAuth(issuer)  # type: ignore[abstract]
    node, recorder = ScriptedSignaling(), ScriptedRecorder()  # type: ignore[abstract]
    services = (
        (auth_pb2, "AuthService", auth_pb2_grpc.add_AuthServiceServicer_to_server, auth),
        (
            signaling_pb2,
            "SignalingService",
            signaling_pb2_grpc.add_SignalingServiceServicer_to_server,
            node,
        ),
        (
            recorder_pb2,
            "RecorderService",
            recorder_pb2_grpc.add_RecorderServiceServicer_to_server,
            recorder,
        ),
    )
    servers = [
        GrpcServer(
            host="127.0.0.1",
            port=0,
            verifier=issuer.verifier,
            services=[(add, servicer, module.DESCRIPTOR.services_by_name[name])],
            domain="test.odeon.live",
            grace_s=0.1,
        )
        for module, name, add, servicer in services
    ]
    async with servers[0], servers[1], servers[2]:
        addresses = [server.address for server in servers]
        yield RoomPeers(issuer, auth, addresses[0], node, addresses[1], recorder, addresses[2])


@dataclass(frozen=True, slots=True)
class RoomApi:
    """A running room, as its callers see it."""

    stub: room_pb2_grpc.RoomServiceStub
    peers: RoomPeers

    def owner(self, tenant: str = "acme") -> Caller:
        """The tenant's own server."""
        return Caller(self.peers.issuer.api_token(tenant=tenant))

    def service(self, name: str = "signaling") -> Caller:
        """A service on its own."""
        return Caller(self.peers.issuer.service_token(name))

    async def event(
        self, event_id: str = "launch", state: str = "LIVE", tenant: str = "acme", **fields: Any
    ) -> pb.CreateEventResponse:
        """A new event in a state."""
        event = pb.Event(state=pb.Event.State.Value(f"STATE_{state}"), **fields)
        request = pb.CreateEventRequest(event_id=event_id, event=event)
        return await self.stub.CreateEvent(request, metadata=self.owner(tenant).metadata)

    async def node(self, name: str = "n1", **fields: Any) -> pb.ReportNodeResponse:
        """A heartbeat of a node; it has the scripted node's address unless told otherwise."""
        fields.setdefault("grpc_address", self.peers.node_address)
        node = pb.Node(name=f"nodes/{name}", **fields)
        return await self.stub.ReportNode(
            pb.ReportNodeRequest(node=node), metadata=self.service().metadata
        )

    async def place(self, event_id: str = "launch", tenant: str = "acme") -> str:
        """Name of the node where the event's media goes."""
        request = pb.PlaceEventRequest(tenant_id=tenant, event=f"events/{event_id}")
        placed = await self.stub.PlaceEvent(request, metadata=self.service("gateway").metadata)
        return placed.node.name

    async def report(
        self, identity: str, role: str = "guest", *, left: bool = False, **fields: str
    ) -> pb.Participant:
        """Signaling says that somebody came or went."""
        participant = pb.Participant(
            identity=identity,
            role=role,
            session_id=fields.get("session_id", f"s-{identity}"),
            state=pb.Participant.STATE_LEFT if left else pb.Participant.STATE_WAITING,
        )
        request = pb.ReportParticipantRequest(
            tenant_id="acme",
            event=f"events/{fields.get('event', 'launch')}",
            node=fields.get("node", "n1"),
            participant=participant,
        )
        told = await self.stub.ReportParticipant(request, metadata=self.service().metadata)
        return told.participant

    async def jobs(self, tenant: str = "acme", *states: str) -> list[pb.Job]:
        """The tenant's jobs."""
        wanted = [pb.Job.State.Value(f"STATE_{state}") for state in states]
        request = pb.ListJobsRequest(states=wanted)
        return list((await self.stub.ListJobs(request, metadata=self.owner(tenant).metadata)).jobs)

    async def claim(self, name: str, worker: str = "w1") -> pb.Job:
        """A transcoder takes a job."""
        request = pb.ClaimJobRequest(name=name, worker=worker)
        metadata = self.service("transcoder").metadata
        return (await self.stub.ClaimJob(request, metadata=metadata)).job

    def watch(
        self, job: pb.Job, worker: str = "w1"
    ) -> "grpc.aio.UnaryStreamCall[pb.WatchJobRequest, pb.WatchJobResponse]":
        """A transcoder follows its job."""
        request = pb.WatchJobRequest(name=job.name, worker=worker, claim=job.claim)
        return self.stub.WatchJob(request, metadata=self.service("transcoder").metadata)
