"""Participants: who waits, who is on stage, who left, who was sent away.

WAITING → ADMITTED → LEFT or REMOVED. Who was admitted once comes back without waiting again.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from odeon_runtime.errors import DomainError, Kind, NotFound

from odeon_room.domain.event_state import EventNotOpen, EventState, require_open
from odeon_room.domain.events import Event

HIDDEN_ROLES = frozenset({"recorder", "prober"})
STAGE_ROLES = frozenset({"host", "assistant", "moderator", "guest"})
_RUNS_EVENT = frozenset({"host", "assistant", "moderator", "publisher"})


class ParticipantState(StrEnum):
    """Where a participant is."""

    WAITING = "WAITING"
    ADMITTED = "ADMITTED"
    LEFT = "LEFT"
    REMOVED = "REMOVED"


class RoomFull(DomainError):
    """As many people are on stage as the room allows."""

    kind = Kind.EXHAUSTED
    reason = "ROOM_FULL"


class ParticipantNotFound(NotFound):
    """Nobody of this identity was here."""

    reason = "PARTICIPANT_NOT_FOUND"


class ParticipantGone(DomainError):
    """The participant is not here any more."""

    kind = Kind.PRECONDITION
    reason = "PARTICIPANT_GONE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Somebody on an event's stage.

    Attributes:
        admit_time: when a host let them in for the first time; None for who never had to wait.
        banned: removed for good.
        node: signaling node that holds their session.
    """

    event: str
    identity: str
    display_name: str
    role: str
    state: ParticipantState
    join_time: datetime
    session_id: str
    hidden: bool = False
    audio_muted: bool = False
    video_muted: bool = False
    admit_time: datetime | None = None
    banned: bool = False
    node: str = ""


def require_watchable(role: str, state: EventState) -> None:
    """Refuse media to the audience before the start; who runs the event may look earlier."""
    require_open(state)
    if role == "viewer" and state is not EventState.LIVE:
        raise EventNotOpen("the event has not started", state=state.value)


def arrived(
    known: Participant | None, comer: Participant, event: Event, *, on_stage: int, most: int
) -> Participant:
    """Who just joined a node, as room keeps them: on stage, waiting, or REMOVED for good.

    Args:
        known: what room knew of this identity.
        comer: what signaling says.
        event: where.
        on_stage: visible participants on stage, this one not counted.
        most: as many as the room allows.

    Raises:
        EventEnded, EventNotOpen: no media comes in now.
        RoomFull: no seat is free; hosts always have one.
    """
    require_open(event.state)
    if known and known.banned:
        return known
    hidden = comer.role in HIDDEN_ROLES
    if not hidden and comer.role != "host" and on_stage >= most:
        raise RoomFull("the stage is full", most=str(most))
    admit_time = known.admit_time if known else None
    already = known is not None and known.state is ParticipantState.ADMITTED
    trusted = hidden or comer.role in _RUNS_EVENT or already or admit_time is not None
    waits = event.waiting_room and not trusted
    return replace(
        comer,
        state=ParticipantState.WAITING if waits else ParticipantState.ADMITTED,
        hidden=hidden,
        admit_time=admit_time,
        join_time=known.join_time if known and already else comer.join_time,
        audio_muted=known.audio_muted if known else False,
        video_muted=known.video_muted if known else False,
    )


def departed(known: Participant, session_id: str) -> Participant:
    """After signaling said that a session left; an older session's farewell changes nothing."""
    newer = known.session_id != session_id
    if newer or known.state is ParticipantState.REMOVED:
        return known
    return replace(known, state=ParticipantState.LEFT)


def admitted(known: Participant, now: datetime) -> Participant:
    """After a host let them in; repeating it changes nothing.

    Raises:
        ParticipantGone: left or removed.
    """
    if known.state is ParticipantState.ADMITTED:
        return known
    if known.state is not ParticipantState.WAITING:
        raise ParticipantGone("not waiting any more", state=known.state.value)
    return replace(known, state=ParticipantState.ADMITTED, admit_time=now)


def removed(known: Participant, *, ban: bool) -> Participant:
    """After a host sent them away: they must be let in again, or with `ban` never."""
    return replace(
        known,
        state=ParticipantState.REMOVED,
        admit_time=None,
        banned=known.banned or ban,
    )
