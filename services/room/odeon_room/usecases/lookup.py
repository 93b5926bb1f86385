"""Things that must be there, or a refusal that says what is not."""

from odeon_room.domain.events import Event, EventNotFound
from odeon_room.domain.jobs import Job, JobNotFound
from odeon_room.domain.participants import Participant, ParticipantNotFound
from odeon_room.domain.rooms import Room, RoomNotFound
from odeon_room.ports import Transaction


async def room(tx: Transaction, room_id: str) -> Room:
    """The room, or ROOM_NOT_FOUND."""
    found = await tx.room(room_id)
    if found is None:
        raise RoomNotFound("no such room", room=room_id)
    return found


async def event(tx: Transaction, event_id: str) -> Event:
    """The event, or EVENT_NOT_FOUND."""
    found = await tx.event(event_id)
    if found is None:
        raise EventNotFound("no such event", event=event_id)
    return found


async def participant(tx: Transaction, event_id: str, identity: str) -> Participant:
    """The participant, or PARTICIPANT_NOT_FOUND."""
    found = await tx.participant(event_id, identity)
    if found is None:
        raise ParticipantNotFound("no such participant", event=event_id, identity=identity)
    return found


async def job(tx: Transaction, job_id: str) -> Job:
    """The job, or JOB_NOT_FOUND."""
    found = await tx.job(job_id)
    if found is None:
        raise JobNotFound("no such job", job=job_id)
    return found
