"""Events: one occurrence of a room each."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from odeon_runtime.errors import DomainError, InvalidArgument, Kind, NotFound
from odeon_runtime.ids import EventId, RoomId

from odeon_room.domain import layout as layouts
from odeon_room.domain.event_state import EventState, moved, require_changeable
from odeon_room.domain.layout import DEFAULT_LAYOUT, Layout
from odeon_room.domain.rooms import title as checked_title

DEFAULT_PROFILE = "default"
_PROFILE = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")
_MOST_VIEWERS = 10_000_000
LONGEST = timedelta(days=14)
"""Between the planned start and end: longer is a mistyped year, and would keep capacity for it."""


class EventNotFound(NotFound):
    """No such event in the caller's tenant, or not for the caller's token."""

    reason = "EVENT_NOT_FOUND"


class EventExists(DomainError):
    """The event id is taken."""

    kind = Kind.ALREADY_EXISTS
    reason = "EVENT_EXISTS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event. `node` is the signaling node that holds its stage, empty until one is needed."""

    id: EventId
    room: RoomId
    title: str
    state: EventState
    create_time: datetime
    schedule_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    layout: Layout = DEFAULT_LAYOUT
    profile: str = DEFAULT_PROFILE
    waiting_room: bool = False
    expected_viewers: int = 0
    schedule_end_time: datetime | None = None
    registrations: int = 0
    node: str = ""


def checked(event: Event) -> Event:
    """The event with its fields checked; raises InvalidArgument."""
    if not _PROFILE.fullmatch(event.profile):
        raise InvalidArgument(field="profile", problem=f"must match {_PROFILE.pattern}")
    if not 0 <= event.expected_viewers <= _MOST_VIEWERS:
        raise InvalidArgument(field="expected_viewers", problem=f"must be 0 to {_MOST_VIEWERS}")
    if not 0 <= event.registrations <= _MOST_VIEWERS:
        raise InvalidArgument(field="registrations", problem=f"must be 0 to {_MOST_VIEWERS}")
    _check_plan(event.schedule_time, event.schedule_end_time)
    return replace(
        event,
        title=checked_title(event.title, field="title"),
        layout=layouts.checked(event.layout),
    )


def _check_plan(start: datetime | None, end: datetime | None) -> None:
    if end is None:
        return
    if start is None:
        raise InvalidArgument(field="schedule_end_time", problem="needs a schedule_time")
    if not timedelta(0) < end - start <= LONGEST:
        problem = f"must be after schedule_time, by {LONGEST.days} days at most"
        raise InvalidArgument(field="schedule_end_time", problem=problem)


def stepped(event: Event, to: EventState, now: datetime) -> Event:
    """The event after a step to another state, with the time of its start or end."""
    state = moved(event.state, to)
    if state is event.state:
        return event
    if state is EventState.LIVE:
        return replace(event, state=state, start_time=now)
    if state is EventState.ENDED:
        return replace(event, state=state, end_time=now, node="")
    return replace(event, state=state)


_CHANGEABLE = frozenset(
    {
        "title",
        "schedule_time",
        "schedule_end_time",
        "layout",
        "profile",
        "waiting_room",
        "expected_viewers",
        "registrations",
    }
)


def updated(event: Event, wanted: Event, paths: Iterable[str]) -> Event:
    """The event with the fields named by an update mask taken from `wanted`.

    Raises:
        InvalidArgument: a field that may not change, or not any more.
        EventEnded: it is over.
    """
    require_changeable(event.state)
    names = set(paths)
    if unknown := names - _CHANGEABLE:
        raise InvalidArgument(field="update_mask", problem=f"cannot change {min(unknown)}")
    if "profile" in names and event.state is EventState.LIVE:
        raise InvalidArgument(field="update_mask", problem="the profile of a live event stands")
    return checked(replace(event, **{name: getattr(wanted, name) for name in names}))
