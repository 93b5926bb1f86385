"""Room's values to wire and back."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from odeon.room.v1 import room_pb2 as pb
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId, Identity, NodeId, RoomId

from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import DEFAULT_PROFILE, Event
from odeon_room.domain.jobs import LEASE_S, Job, JobState, Outcome
from odeon_room.domain.layout import Layout, LayoutKind
from odeon_room.domain.links import EventLinks
from odeon_room.domain.participants import Participant, ParticipantState
from odeon_room.domain.placement import Candidate, Node, load_from_wire
from odeon_room.domain.rooms import Room
from odeon_room.usecases.entry import Entrance
from odeon_room.usecases.events import Plan
from odeon_room.usecases.jobs import Assignment

_W = TypeVar("_W")
_S = TypeVar("_S")
_STATE_TO_PROTO = {
    EventState.SCHEDULED: pb.Event.STATE_SCHEDULED,
    EventState.WARMUP: pb.Event.STATE_WARMUP,
    EventState.LIVE: pb.Event.STATE_LIVE,
    EventState.ENDED: pb.Event.STATE_ENDED,
}
_STATE_FROM_PROTO = {wire: state for state, wire in _STATE_TO_PROTO.items()}
_LAYOUT_TO_PROTO = {
    LayoutKind.SINGLE: pb.Layout.KIND_SINGLE,
    LayoutKind.GRID: pb.Layout.KIND_GRID,
    LayoutKind.SPEAKER: pb.Layout.KIND_SPEAKER,
    LayoutKind.PICTURE_IN_PICTURE: pb.Layout.KIND_PICTURE_IN_PICTURE,
    LayoutKind.SCREEN_SPEAKER: pb.Layout.KIND_SCREEN_SPEAKER,
}
_LAYOUT_FROM_PROTO = {wire: kind for kind, wire in _LAYOUT_TO_PROTO.items()}
_PARTICIPANT_TO_PROTO = {
    ParticipantState.WAITING: pb.Participant.STATE_WAITING,
    ParticipantState.ADMITTED: pb.Participant.STATE_ADMITTED,
    ParticipantState.LEFT: pb.Participant.STATE_LEFT,
    ParticipantState.REMOVED: pb.Participant.STATE_REMOVED,
}
_JOB_TO_PROTO = {
    JobState.OFFERED: pb.Job.STATE_OFFERED,
    JobState.CLAIMED: pb.Job.STATE_CLAIMED,
    JobState.DONE: pb.Job.STATE_DONE,
    JobState.FAILED: pb.Job.STATE_FAILED,
    JobState.CANCELLED: pb.Job.STATE_CANCELLED,
}
_JOB_FROM_PROTO = {wire: state for state, wire in _JOB_TO_PROTO.items()}
_OUTCOMES = {
    pb.FinishJobRequest.OUTCOME_DONE: Outcome.DONE,
    pb.FinishJobRequest.OUTCOME_FAILED: Outcome.FAILED,
    pb.FinishJobRequest.OUTCOME_RELEASED: Outcome.RELEASED,
}


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time on the wire."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def _time(message: Timestamp, field: str) -> datetime:
    try:
        return message.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise InvalidArgument(field=field, problem="not a time") from None


def room_to_proto(room: Room) -> pb.Room:
    """A room on the wire."""
    return pb.Room(
        name=room.id.resource_name,
        display_name=room.display_name,
        create_time=timestamp(room.create_time),
        max_participants=room.max_participants,
    )


def layout_to_proto(layout: Layout) -> pb.Layout:
    """A layout on the wire."""
    return pb.Layout(
        kind=_LAYOUT_TO_PROTO[layout.kind], focus=layout.focus, name_labels=layout.name_labels
    )


def layout_from_proto(message: pb.Layout) -> Layout:
    """A layout that a caller wants; raises InvalidArgument without a known kind."""
    kind = _LAYOUT_FROM_PROTO.get(message.kind)
    if kind is None:
        raise InvalidArgument(field="layout.kind", problem="must be one of Layout.Kind")
    return Layout(kind, message.focus, message.name_labels)


def event_to_proto(event: Event) -> pb.Event:
    """An event on the wire."""
    return pb.Event(
        name=event.id.resource_name,
        room=event.room.resource_name,
        title=event.title,
        state=_STATE_TO_PROTO[event.state],
        create_time=timestamp(event.create_time),
        schedule_time=timestamp(event.schedule_time),
        start_time=timestamp(event.start_time),
        end_time=timestamp(event.end_time),
        layout=layout_to_proto(event.layout),
        profile=event.profile,
        waiting_room=event.waiting_room,
        expected_viewers=event.expected_viewers,
        schedule_end_time=timestamp(event.schedule_end_time),
        registrations=event.registrations,
    )


def event_from_proto(message: pb.Event) -> Event:
    """The fields of an event that a caller may say; ids, state and times are the server's."""
    begins, ends = message.HasField("schedule_time"), message.HasField("schedule_end_time")
    layout = layout_from_proto(message.layout) if message.HasField("layout") else Layout()
    return Event(
        id=EventId("new"),
        room=RoomId("new"),
        title=message.title,
        state=EventState.SCHEDULED,
        create_time=datetime.fromtimestamp(0, UTC),
        schedule_time=_time(message.schedule_time, "schedule_time") if begins else None,
        schedule_end_time=_time(message.schedule_end_time, "schedule_end_time") if ends else None,
        layout=layout,
        profile=message.profile or DEFAULT_PROFILE,
        waiting_room=message.waiting_room,
        expected_viewers=message.expected_viewers,
        registrations=message.registrations,
    )


def plan_from_proto(request: pb.CreateEventRequest) -> Plan:
    """What a CreateEvent asks for."""
    message = request.event
    state = _STATE_FROM_PROTO.get(message.state, EventState.SCHEDULED)
    return Plan(
        event_id=request.event_id,
        room_name=message.room,
        state=state,
        wanted=event_from_proto(message),
        request_id=request.request_id,
        digest=message.SerializeToString(deterministic=True).hex(),
    )


def event_states(wire: Iterable[int]) -> list[EventState]:
    """States to list; raises InvalidArgument for an unknown one."""
    return [_known(_STATE_FROM_PROTO, value) for value in wire]


def job_states(wire: Iterable[int]) -> list[JobState]:
    """States to list; raises InvalidArgument for an unknown one."""
    return [_known(_JOB_FROM_PROTO, value) for value in wire]


def _known(table: Mapping[_W, _S], value: int) -> _S:
    for wire, state in table.items():
        if wire == value:
            return state
    raise InvalidArgument(field="states", problem=f"no state {value}")


def links_to_proto(links: EventLinks) -> pb.EventLinks:
    """Links on the wire."""
    return pb.EventLinks(
        studio_url=links.studio_url,
        guest_url=links.guest_url,
        watch_url=links.watch_url,
        whip_url=links.whip_url,
        whip_token=links.whip_token,
        whep_url=links.whep_url,
        playlist_url=links.playlist_url,
    )


def entrance_to_proto(entrance: Entrance) -> pb.EnterEventResponse:
    """What a page gets, on the wire."""
    return pb.EnterEventResponse(
        event=event_to_proto(entrance.event),
        role=entrance.role,
        identity=entrance.identity,
        session_id=entrance.session_id,
        stage_url=entrance.stage_url,
        join_token=entrance.join_token,
        playlist_url=entrance.playlist_url,
        whep_url=entrance.whep_url,
        playback_token=entrance.playback_token,
        expire_time=timestamp(entrance.expire_time),
        links=links_to_proto(entrance.links) if entrance.links else None,
        access_token=entrance.access_token,
    )


def participant_to_proto(participant: Participant) -> pb.Participant:
    """A participant on the wire."""
    return pb.Participant(
        name=f"events/{participant.event}/participants/{participant.identity}",
        identity=participant.identity,
        display_name=participant.display_name,
        role=participant.role,
        state=_PARTICIPANT_TO_PROTO[participant.state],
        join_time=timestamp(participant.join_time),
        session_id=participant.session_id,
        hidden=participant.hidden,
        audio_muted=participant.audio_muted,
        video_muted=participant.video_muted,
    )


def comer_from_proto(request: pb.ReportParticipantRequest, now: datetime) -> Participant:
    """Whom signaling reports."""
    message = request.participant
    return Participant(
        event=EventId.parse_name(request.event),
        identity=Identity.parse(message.identity),
        display_name=message.display_name[:100],
        role=message.role,
        state=ParticipantState.ADMITTED,
        join_time=now,
        session_id=message.session_id,
        hidden=message.hidden,
        node=NodeId.parse(request.node.removeprefix("nodes/")),
    )


def has_left(message: pb.Participant) -> bool:
    """Whether signaling reports a farewell."""
    return message.state in (pb.Participant.STATE_LEFT, pb.Participant.STATE_REMOVED)


def node_from_proto(message: pb.Node, now: datetime) -> Node:
    """A node as it reports itself."""
    return Node(
        id=NodeId.parse_name(message.name),
        grpc_address=message.grpc_address,
        media_addresses=tuple(message.media_addresses),
        sessions=message.sessions,
        cpu_load=load_from_wire(message.cpu_load),
        draining=message.draining,
        cordoned=message.cordoned,
        heartbeat_time=now,
    )


def node_to_proto(candidate: Candidate) -> pb.Node:
    """A node on the wire."""
    node = candidate.node
    return pb.Node(
        name=f"nodes/{node.id}",
        grpc_address=node.grpc_address,
        media_addresses=node.media_addresses,
        sessions=node.sessions,
        cpu_load=-1.0 if node.cpu_load is None else node.cpu_load,
        draining=node.draining,
        cordoned=node.cordoned,
        eligible=candidate.eligible,
        heartbeat_time=timestamp(node.heartbeat_time),
        probe_time=timestamp(node.probe_time),
        probe_ok=node.probe_ok,
        probe_error=node.probe_error,
    )


def job_to_proto(job: Job) -> pb.Job:
    """A job on the wire, without what only its worker may know."""
    return pb.Job(
        name=f"jobs/{job.id}",
        kind=pb.Job.KIND_TRANSCODE,
        state=_JOB_TO_PROTO[job.state],
        tenant_id=job.tenant,
        event=f"events/{job.event}",
        profile=job.profile,
        worker=job.worker,
        claim=job.claim,
        slots=job.slots,
        status=job.status,
    )


def assignment_to_proto(assignment: Assignment, now: datetime) -> pb.Job:
    """A job as its worker gets it."""
    message = job_to_proto(assignment.job)
    message.layout.CopyFrom(layout_to_proto(assignment.layout))
    message.node_address = assignment.node_address
    message.join_token = assignment.join_token
    message.lease_expire_time.FromDatetime(now + timedelta(seconds=LEASE_S))
    return message


def outcome_from_proto(value: int) -> Outcome:
    """How a worker gives a job back; raises InvalidArgument."""
    for wire, outcome in _OUTCOMES.items():
        if wire == value:
            return outcome
    raise InvalidArgument(field="outcome", problem="must be one of FinishJobRequest.Outcome")
