"""Rooms: lasting addresses with a policy."""

from dataclasses import dataclass
from datetime import datetime

from odeon_runtime.errors import DomainError, InvalidArgument, Kind, NotFound
from odeon_runtime.ids import RoomId

MOST_PARTICIPANTS = 50
"""People on one stage; more are an audience."""
MAX_TITLE = 200


class RoomNotFound(NotFound):
    """No such room in the caller's tenant."""

    reason = "ROOM_NOT_FOUND"


class RoomExists(DomainError):
    """The room id is taken."""

    kind = Kind.ALREADY_EXISTS
    reason = "ROOM_EXISTS"


class RoomInUse(DomainError):
    """An event of the room has not ended."""

    kind = Kind.PRECONDITION
    reason = "ROOM_IN_USE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room."""

    id: RoomId
    display_name: str
    max_participants: int
    create_time: datetime


def title(text: str, *, field: str) -> str:
    """Check text for people; raises InvalidArgument."""
    trimmed = text.strip()
    if len(trimmed) > MAX_TITLE or not trimmed.isprintable():
        raise InvalidArgument(field=field, problem=f"at most {MAX_TITLE} printable characters")
    return trimmed


def max_participants(wanted: int) -> int:
    """The number wanted, or the most when none was said; raises InvalidArgument."""
    if not 0 <= wanted <= MOST_PARTICIPANTS:
        raise InvalidArgument(field="max_participants", problem=f"must be 1 to {MOST_PARTICIPANTS}")
    return wanted or MOST_PARTICIPANTS
