"""A RoomService small enough to say what it does in a test: placement, heartbeats, admission.

It speaks room's real contract over real gRPC, so that the services around room are tested without
a database. What room itself decides is tested in services/room.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from odeon.room.v1 import room_pb2, room_pb2_grpc
from odeon_runtime.errors import NotFound, Unavailable
from odeon_runtime.grpc_server import Context, GrpcServer

from odeon_testkit.issuer import Issuer

State = room_pb2.Participant


class ScriptedRoom(room_pb2_grpc.RoomServiceServicer):
    """Room as a test wants it.

    Attributes:
        nodes: by name, as their heartbeats say.
        reports: what signaling told about participants, in order.
        probes: what the prober told, by node.
        waiting: identities that room keeps waiting.
        removed: identities that room refuses.
        muted: what hosts muted of an identity: (audio, video).
        events: state by event id; others are LIVE.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, room_pb2.Node] = {}
        self.active: dict[str, list[str]] = {}
        self.reports: list[room_pb2.ReportParticipantRequest] = []
        self.probes: dict[str, list[room_pb2.ReportProbeRequest]] = defaultdict(list)
        self.waiting: set[str] = set()
        self.removed: set[str] = set()
        self.muted: dict[str, tuple[bool, bool]] = {}
        self.events: dict[str, room_pb2.Event.State.ValueType] = {}
        self.changed = asyncio.Condition()

    async def PlaceEvent(
        self, request: room_pb2.PlaceEventRequest, context: Context
    ) -> room_pb2.PlaceEventResponse:
        """The first node."""
        for node in self.nodes.values():
            event_id = request.event.removeprefix("events/")
            state = self.events.get(event_id, room_pb2.Event.STATE_LIVE)
            event = room_pb2.Event(name=request.event, state=state)
            return room_pb2.PlaceEventResponse(node=node, event=event)
        raise Unavailable("no node")

    async def GetEvent(
        self, request: room_pb2.GetEventRequest, context: Context
    ) -> room_pb2.GetEventResponse:
        """Events named in `events`."""
        event_id = request.name.removeprefix("events/")
        if event_id not in self.events:
            raise NotFound("no such event", event=event_id)
        event = room_pb2.Event(name=request.name, title=event_id, state=self.events[event_id])
        return room_pb2.GetEventResponse(event=event)

    async def ReportNode(
        self, request: room_pb2.ReportNodeRequest, context: Context
    ) -> room_pb2.ReportNodeResponse:
        """Remember the node."""
        self.nodes[request.node.name] = request.node
        self.active[request.node.name] = list(request.active_events)
        await self._notify()
        return room_pb2.ReportNodeResponse(eligible=True)

    async def ListNodes(
        self, request: room_pb2.ListNodesRequest, context: Context
    ) -> room_pb2.ListNodesResponse:
        """All that ever reported."""
        return room_pb2.ListNodesResponse(nodes=self.nodes.values())

    async def ReportProbe(
        self, request: room_pb2.ReportProbeRequest, context: Context
    ) -> room_pb2.ReportProbeResponse:
        """Remember the verdict."""
        self.probes[request.node].append(request)
        await self._notify()
        return room_pb2.ReportProbeResponse()

    async def ReportParticipant(
        self, request: room_pb2.ReportParticipantRequest, context: Context
    ) -> room_pb2.ReportParticipantResponse:
        """Admit all but those in `waiting` and `removed`."""
        self.reports.append(request)
        answer = room_pb2.Participant()
        answer.CopyFrom(request.participant)
        if answer.state != State.STATE_LEFT:
            answer.state = State.STATE_ADMITTED
            if answer.identity in self.waiting:
                answer.state = State.STATE_WAITING
            if answer.identity in self.removed:
                answer.state = State.STATE_REMOVED
            answer.audio_muted, answer.video_muted = self.muted.get(answer.identity, (False, False))
        await self._notify()
        return room_pb2.ReportParticipantResponse(participant=answer)

    async def _notify(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def room_server(
    issuer: Issuer, room: ScriptedRoom | None = None, *, port: int = 0
) -> AsyncIterator[tuple[str, ScriptedRoom]]:
    """A scripted RoomService; yields its address and the servicer."""
    servicer = room or ScriptedRoom()  # type: ignore[abstract]
    server = GrpcServer(
        host="127.0.0.1",
        port=port,
        verifier=issuer.verifier,
        services=[
            (
                room_pb2_grpc.add_RoomServiceServicer_to_server,
                servicer,
                room_pb2.DESCRIPTOR.services_by_name["RoomService"],
            )
        ],
        domain="room.odeon.live",
        grace_s=0.2,
    )
    async with server:
        yield server.address, servicer
