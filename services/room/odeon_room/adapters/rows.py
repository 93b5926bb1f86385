"""Room's values to rows and back."""

import json
from typing import Any

from odeon_runtime.ids import EventId, RoomId
from sqlalchemy import RowMapping

from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.followups import Followup, FollowupKind
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.layout import Layout, LayoutKind
from odeon_room.domain.participants import Participant, ParticipantState
from odeon_room.domain.placement import Node
from odeon_room.domain.rooms import Room

Row = dict[str, Any]


def room(row: RowMapping) -> Room:
    """A room from its row."""
    return Room(
        id=RoomId(row["room_id"]),
        display_name=row["display_name"],
        max_participants=row["max_participants"],
        create_time=row["create_time"],
    )


def of_room(room: Room) -> Row:
    """A room's row, without its key."""
    return {
        "display_name": room.display_name,
        "max_participants": room.max_participants,
        "create_time": room.create_time,
    }


def event(row: RowMapping) -> Event:
    """An event from its row."""
    return Event(
        id=EventId(row["event_id"]),
        room=RoomId(row["room_id"]),
        title=row["title"],
        state=EventState(row["state"]),
        create_time=row["create_time"],
        schedule_time=row["schedule_time"],
        start_time=row["start_time"],
        end_time=row["end_time"],
        layout=Layout(
            LayoutKind(row["layout_kind"]), row["layout_focus"], row["layout_name_labels"]
        ),
        profile=row["profile"],
        waiting_room=row["waiting_room"],
        expected_viewers=row["expected_viewers"],
        schedule_end_time=row["schedule_end_time"],
        registrations=row["registrations"],
        node=row["node_id"],
    )


def of_event(event: Event) -> Row:
    """An event's row, without its key."""
    return {
        "room_id": event.room,
        "title": event.title,
        "state": event.state.value,
        "create_time": event.create_time,
        "schedule_time": event.schedule_time,
        "start_time": event.start_time,
        "end_time": event.end_time,
        "layout_kind": event.layout.kind.value,
        "layout_focus": event.layout.focus,
        "layout_name_labels": event.layout.name_labels,
        "profile": event.profile,
        "waiting_room": event.waiting_room,
        "expected_viewers": event.expected_viewers,
        "schedule_end_time": event.schedule_end_time,
        "registrations": event.registrations,
        "node_id": event.node,
    }


def participant(row: RowMapping) -> Participant:
    """A participant from its row."""
    return Participant(
        event=row["event_id"],
        identity=row["identity"],
        display_name=row["display_name"],
        role=row["role"],
        state=ParticipantState(row["state"]),
        join_time=row["join_time"],
        session_id=row["session_id"],
        hidden=row["hidden"],
        audio_muted=row["audio_muted"],
        video_muted=row["video_muted"],
        admit_time=row["admit_time"],
        banned=row["banned"],
        node=row["node_id"],
    )


def of_participant(participant: Participant) -> Row:
    """A participant's row, without its key."""
    return {
        "display_name": participant.display_name,
        "role": participant.role,
        "state": participant.state.value,
        "join_time": participant.join_time,
        "session_id": participant.session_id,
        "hidden": participant.hidden,
        "audio_muted": participant.audio_muted,
        "video_muted": participant.video_muted,
        "admit_time": participant.admit_time,
        "banned": participant.banned,
        "node_id": participant.node,
    }


def job(row: RowMapping) -> Job:
    """A job from its row."""
    return Job(
        tenant=row["tenant_id"],
        id=row["job_id"],
        event=row["event_id"],
        state=JobState(row["state"]),
        profile=row["profile"],
        slots=row["slots"],
        worker=row["worker"],
        claim=row["claim"],
        renewals=row["renewals"],
        failures=row["failures"],
        create_time=row["create_time"],
        offer_time=row["offer_time"],
        finish_time=row["finish_time"],
        status=row["status"],
    )


def of_job(job: Job) -> Row:
    """A job's row, without its key."""
    return {
        "event_id": job.event,
        "state": job.state.value,
        "profile": job.profile,
        "slots": job.slots,
        "worker": job.worker,
        "claim": job.claim,
        "renewals": job.renewals,
        "failures": job.failures,
        "create_time": job.create_time,
        "offer_time": job.offer_time,
        "finish_time": job.finish_time,
        "status": job.status,
    }


def followup(row: RowMapping) -> Followup:
    """A follow-up from its row."""
    return Followup(
        tenant=row["tenant_id"],
        event=row["event_id"],
        kind=FollowupKind(row["kind"]),
        create_time=row["create_time"],
        due_time=row["due_time"],
        attempts=row["attempts"],
        detail=row["detail"],
    )


def node(row: RowMapping) -> Node:
    """A node from its row."""
    return Node(
        id=row["node_id"],
        grpc_address=row["grpc_address"],
        media_addresses=tuple(json.loads(row["media_addresses"])),
        sessions=row["sessions"],
        cpu_load=row["cpu_load"],
        draining=row["draining"],
        cordoned=row["cordoned"],
        heartbeat_time=row["heartbeat_time"],
        probe_time=row["probe_time"],
        probe_ok=row["probe_ok"],
        probe_error=row["probe_error"],
        probe_failures=row["probe_failures"],
    )


def of_report(node: Node) -> Row:
    """What a node's heartbeat says of it."""
    return {
        "grpc_address": node.grpc_address,
        "media_addresses": json.dumps(node.media_addresses),
        "sessions": node.sessions,
        "cpu_load": node.cpu_load,
        "draining": node.draining,
        "cordoned": node.cordoned,
        "heartbeat_time": node.heartbeat_time,
    }


def of_probe(node: Node) -> Row:
    """What the prober says of a node."""
    return {
        "probe_time": node.probe_time,
        "probe_ok": node.probe_ok,
        "probe_error": node.probe_error,
        "probe_failures": node.probe_failures,
    }
