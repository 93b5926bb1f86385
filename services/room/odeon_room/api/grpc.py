"""gRPC edge of room: parse, call one use case, convert. Decides nothing."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from odeon.room.v1 import room_pb2 as pb
from odeon.room.v1 import room_pb2_grpc
from odeon_runtime.grpc_server import Context
from odeon_runtime.principal import current_principal

from odeon_room.api import convert
from odeon_room.domain.event_state import EventState
from odeon_room.usecases.context import Clock
from odeon_room.usecases.entry import Entries
from odeon_room.usecases.events import Events
from odeon_room.usecases.jobs import Holder, Jobs
from odeon_room.usecases.nodes import Nodes, report_interval
from odeon_room.usecases.participants import Participants
from odeon_room.usecases.rooms import Rooms


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """Everything that room can do."""

    rooms: Rooms
    events: Events
    entries: Entries
    participants: Participants
    nodes: Nodes
    jobs: Jobs


class RoomServicer(room_pb2_grpc.RoomServiceServicer):
    """Rooms, events, participants, placement, jobs. Refusals are raised by the domain."""

    def __init__(self, use: UseCases, now: Clock) -> None:
        self._use = use
        self._now = now

    # Rooms

    async def CreateRoom(
        self, request: pb.CreateRoomRequest, context: Context
    ) -> pb.CreateRoomResponse:
        """Create a room. Refusals: ROOM_EXISTS, REQUEST_ID_REUSED."""
        room = await self._use.rooms.create(
            current_principal(),
            room_id=request.room_id,
            display_name=request.room.display_name,
            max_participants=request.room.max_participants,
            request_id=request.request_id,
        )
        return pb.CreateRoomResponse(room=convert.room_to_proto(room))

    async def GetRoom(self, request: pb.GetRoomRequest, context: Context) -> pb.GetRoomResponse:
        """Read a room. Refusals: ROOM_NOT_FOUND."""
        room = await self._use.rooms.get(current_principal(), request.name)
        return pb.GetRoomResponse(room=convert.room_to_proto(room))

    async def ListRooms(
        self, request: pb.ListRoomsRequest, context: Context
    ) -> pb.ListRoomsResponse:
        """List rooms, oldest first."""
        page, token = await self._use.rooms.list(
            current_principal(), size=request.page_size, token=request.page_token
        )
        return pb.ListRoomsResponse(
            rooms=[convert.room_to_proto(room) for room in page], next_page_token=token
        )

    async def DeleteRoom(
        self, request: pb.DeleteRoomRequest, context: Context
    ) -> pb.DeleteRoomResponse:
        """Delete a room. Refusals: ROOM_NOT_FOUND, ROOM_IN_USE."""
        await self._use.rooms.delete(current_principal(), request.name)
        return pb.DeleteRoomResponse()

    # Events

    async def CreateEvent(
        self, request: pb.CreateEventRequest, context: Context
    ) -> pb.CreateEventResponse:
        """Create an event. Refusals: EVENT_EXISTS, ROOM_NOT_FOUND, REQUEST_ID_REUSED."""
        caller = current_principal()
        event = await self._use.events.create(caller, convert.plan_from_proto(request))
        links = await self._use.entries.links(caller, event)
        return pb.CreateEventResponse(
            event=convert.event_to_proto(event), links=convert.links_to_proto(links)
        )

    async def GetEvent(self, request: pb.GetEventRequest, context: Context) -> pb.GetEventResponse:
        """Read an event. Refusals: EVENT_NOT_FOUND."""
        event = await self._use.events.get(current_principal(), request.name)
        return pb.GetEventResponse(event=convert.event_to_proto(event))

    async def ListEvents(
        self, request: pb.ListEventsRequest, context: Context
    ) -> pb.ListEventsResponse:
        """List events, oldest first."""
        page, token = await self._use.events.list(
            current_principal(),
            size=request.page_size,
            token=request.page_token,
            states=convert.event_states(request.states),
        )
        return pb.ListEventsResponse(
            events=[convert.event_to_proto(event) for event in page], next_page_token=token
        )

    async def UpdateEvent(
        self, request: pb.UpdateEventRequest, context: Context
    ) -> pb.UpdateEventResponse:
        """Change an event. Refusals: EVENT_NOT_FOUND, EVENT_ENDED."""
        event = await self._use.events.update(
            current_principal(),
            request.event.name,
            convert.event_from_proto(request.event),
            request.update_mask.paths,
        )
        return pb.UpdateEventResponse(event=convert.event_to_proto(event))

    async def WarmUpEvent(
        self, request: pb.WarmUpEventRequest, context: Context
    ) -> pb.WarmUpEventResponse:
        """To WARMUP. Refusals: EVENT_WRONG_STATE, EVENT_ENDED."""
        event = await self._use.events.step(current_principal(), request.name, EventState.WARMUP)
        return pb.WarmUpEventResponse(event=convert.event_to_proto(event))

    async def StartEvent(
        self, request: pb.StartEventRequest, context: Context
    ) -> pb.StartEventResponse:
        """To LIVE. Refusals: EVENT_ENDED."""
        event = await self._use.events.step(current_principal(), request.name, EventState.LIVE)
        return pb.StartEventResponse(event=convert.event_to_proto(event))

    async def EndEvent(self, request: pb.EndEventRequest, context: Context) -> pb.EndEventResponse:
        """To ENDED. Refusals: EVENT_NOT_FOUND."""
        event = await self._use.events.step(current_principal(), request.name, EventState.ENDED)
        return pb.EndEventResponse(event=convert.event_to_proto(event))

    async def EnterEvent(
        self, request: pb.EnterEventRequest, context: Context
    ) -> pb.EnterEventResponse:
        """Trade an invite. Refusals: EVENT_NOT_FOUND, SESSION_REVOKED."""
        entrance = await self._use.entries.enter(
            current_principal(), request.name, request.display_name
        )
        return convert.entrance_to_proto(entrance)

    async def SetLayout(
        self, request: pb.SetLayoutRequest, context: Context
    ) -> pb.SetLayoutResponse:
        """Change the composition. Refusals: EVENT_NOT_FOUND, EVENT_ENDED."""
        event = await self._use.events.set_layout(
            current_principal(), request.name, convert.layout_from_proto(request.layout)
        )
        return pb.SetLayoutResponse(event=convert.event_to_proto(event))

    # Participants

    async def ListParticipants(
        self, request: pb.ListParticipantsRequest, context: Context
    ) -> pb.ListParticipantsResponse:
        """List participants in order of joining. Refusals: EVENT_NOT_FOUND."""
        page, token = await self._use.participants.list(
            current_principal(),
            request.parent,
            size=request.page_size,
            token=request.page_token,
        )
        return pb.ListParticipantsResponse(
            participants=[convert.participant_to_proto(one) for one in page],
            next_page_token=token,
        )

    async def AdmitParticipant(
        self, request: pb.AdmitParticipantRequest, context: Context
    ) -> pb.AdmitParticipantResponse:
        """Let a waiting guest on. Refusals: PARTICIPANT_NOT_FOUND, PARTICIPANT_GONE."""
        participant = await self._use.participants.admit(current_principal(), request.name)
        return pb.AdmitParticipantResponse(participant=convert.participant_to_proto(participant))

    async def RemoveParticipant(
        self, request: pb.RemoveParticipantRequest, context: Context
    ) -> pb.RemoveParticipantResponse:
        """Take somebody off the stage. Refusals: PARTICIPANT_NOT_FOUND."""
        participant = await self._use.participants.remove(
            current_principal(), request.name, ban=request.ban
        )
        return pb.RemoveParticipantResponse(participant=convert.participant_to_proto(participant))

    async def MuteParticipant(
        self, request: pb.MuteParticipantRequest, context: Context
    ) -> pb.MuteParticipantResponse:
        """Mute somebody for everybody. Refusals: PARTICIPANT_NOT_FOUND."""
        participant = await self._use.participants.mute(
            current_principal(),
            request.name,
            audio=request.audio_muted if request.HasField("audio_muted") else None,
            video=request.video_muted if request.HasField("video_muted") else None,
        )
        return pb.MuteParticipantResponse(participant=convert.participant_to_proto(participant))

    async def ReportParticipant(
        self, request: pb.ReportParticipantRequest, context: Context
    ) -> pb.ReportParticipantResponse:
        """Who came or went. Refusals: ROOM_FULL, EVENT_NOT_OPEN, EVENT_ENDED."""
        participant = await self._use.participants.report(
            current_principal(),
            convert.comer_from_proto(request, self._now()),
            tenant_id=request.tenant_id,
            left=convert.has_left(request.participant),
        )
        return pb.ReportParticipantResponse(participant=convert.participant_to_proto(participant))

    # Nodes

    async def PlaceEvent(
        self, request: pb.PlaceEventRequest, context: Context
    ) -> pb.PlaceEventResponse:
        """Where media goes. Refusals: NO_NODE_AVAILABLE, EVENT_NOT_OPEN, EVENT_ENDED."""
        candidate, event = await self._use.nodes.place(
            current_principal(), tenant_id=request.tenant_id, event_name=request.event
        )
        return pb.PlaceEventResponse(
            node=convert.node_to_proto(candidate), event=convert.event_to_proto(event)
        )

    async def ReportNode(
        self, request: pb.ReportNodeRequest, context: Context
    ) -> pb.ReportNodeResponse:
        """A node's heartbeat."""
        eligible = await self._use.nodes.report(
            current_principal(),
            convert.node_from_proto(request.node, self._now()),
            request.active_events,
        )
        interval = Duration()
        interval.FromTimedelta(report_interval())
        return pb.ReportNodeResponse(eligible=eligible, report_interval=interval)

    async def ListNodes(
        self, request: pb.ListNodesRequest, context: Context
    ) -> pb.ListNodesResponse:
        """All nodes."""
        nodes = self._use.nodes.list(current_principal())
        return pb.ListNodesResponse(nodes=[convert.node_to_proto(node) for node in nodes])

    async def ReportProbe(
        self, request: pb.ReportProbeRequest, context: Context
    ) -> pb.ReportProbeResponse:
        """A prober's verdict. Refusals: NODE_NOT_FOUND."""
        await self._use.nodes.probe(
            current_principal(),
            request.node,
            ok=request.ok,
            error=f"{request.failed_stage}: {request.detail}",
        )
        return pb.ReportProbeResponse()

    # Jobs

    async def ClaimJob(self, request: pb.ClaimJobRequest, context: Context) -> pb.ClaimJobResponse:
        """Take a job. Refusals: JOB_NOT_FOUND, JOB_TAKEN, JOB_OVER, NO_NODE_AVAILABLE."""
        assignment = await self._use.jobs.claim(current_principal(), request.name, request.worker)
        return pb.ClaimJobResponse(job=convert.assignment_to_proto(assignment, self._now()))

    async def RenewJob(self, request: pb.RenewJobRequest, context: Context) -> pb.RenewJobResponse:
        """Keep a claim. Refusals: JOB_NOT_FOUND, JOB_LOST."""
        holder = Holder(request.name, request.worker, request.claim)
        assignment = await self._use.jobs.renew(current_principal(), holder, request.status)
        return pb.RenewJobResponse(job=convert.assignment_to_proto(assignment, self._now()))

    async def FinishJob(
        self, request: pb.FinishJobRequest, context: Context
    ) -> pb.FinishJobResponse:
        """Give a job back. Refusals: JOB_NOT_FOUND, JOB_LOST."""
        holder = Holder(request.name, request.worker, request.claim)
        job = await self._use.jobs.finish(
            current_principal(),
            holder,
            convert.outcome_from_proto(request.outcome),
            request.detail,
        )
        return pb.FinishJobResponse(job=convert.job_to_proto(job))

    async def WatchJob(
        self, request: pb.WatchJobRequest, context: Context
    ) -> AsyncIterator[pb.WatchJobResponse]:
        """Follow a claimed job. Refusals: JOB_NOT_FOUND, JOB_LOST."""
        holder = Holder(request.name, request.worker, request.claim)
        async for assignment in self._use.jobs.watch(current_principal(), holder):
            yield pb.WatchJobResponse(job=convert.assignment_to_proto(assignment, self._now()))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        """List jobs, oldest first."""
        page, token = await self._use.jobs.list(
            current_principal(),
            size=request.page_size,
            token=request.page_token,
            states=convert.job_states(request.states),
        )
        return pb.ListJobsResponse(
            jobs=[convert.job_to_proto(job) for job in page], next_page_token=token
        )
