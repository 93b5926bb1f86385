"""What room tells the others once it has happened."""

from dataclasses import dataclass

from odeon_room.domain.event_state import EventState
from odeon_room.domain.jobs import JobState


@dataclass(frozen=True, slots=True)
class EventMoved:
    """An event moved on."""

    event: str
    state: EventState
    title: str


@dataclass(frozen=True, slots=True)
class ParticipantCame:
    """Somebody is on stage."""

    event: str
    identity: str
    role: str
    node: str


@dataclass(frozen=True, slots=True)
class ParticipantWent:
    """Somebody is not on stage any more."""

    event: str
    identity: str
    why: str


@dataclass(frozen=True, slots=True)
class JobMoved:
    """A job changed hands or ended."""

    job: str
    event: str
    state: JobState
    worker: str


Fact = EventMoved | ParticipantCame | ParticipantWent | JobMoved
