"""`odeon events`: what is on, what is planned, what is over."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.room.v1 import room_pb2

from odeon_cli.api import Api
from odeon_cli.console import console, emit, show_table
from odeon_cli.target import Target

_ROOM = "odeon.room.v1.RoomService"
_PAGE = 100
_MAX_PAGES = 100


async def list_events(target: Target, *, as_json: bool) -> None:
    """Every event of the tenant, the newest first."""
    async with target.api() as api:
        events = await _all_events(api)
    if as_json:
        emit({"events": [json_format.MessageToDict(event) for event in events]})
        return
    if not events:
        console().print("no events yet; make one: odeon events create TITLE", markup=False)
        return
    rows = [
        (_id(event.name), event.title, state_name(event.state), _when(event), event.profile)
        for event in events
    ]
    show_table("", ("event", "title", "state", "since", "profile"), rows)


async def create_event(
    target: Target, *, event: room_pb2.Event, event_id: str, start: bool, as_json: bool
) -> None:
    """Create an event, set it live if wanted, print its links."""
    request = room_pb2.CreateEventRequest(event_id=event_id, event=event)
    async with target.api() as api:
        created = await api.call(f"{_ROOM}/CreateEvent", request, room_pb2.CreateEventResponse)
        event = created.event
        if start:
            started = await api.call(
                f"{_ROOM}/StartEvent",
                room_pb2.StartEventRequest(name=event.name),
                room_pb2.StartEventResponse,
            )
            event = started.event
    links: dict[str, Any] = json_format.MessageToDict(
        created.links, preserving_proto_field_name=True
    )
    if as_json:
        emit({"event": _id(event.name), "state": state_name(event.state), **links})
        return
    # No table: it would break links and tokens into pieces that nobody can copy.
    for name, value in {
        "event": _id(event.name),
        "state": state_name(event.state),
        **links,
    }.items():
        print(f"{name.replace('_', ' ') + ':':<14}{value}")


def planned(
    *, title: str, profile: str, at: datetime | None, until: datetime | None, viewers: int
) -> room_pb2.Event:
    """An event to be created; times without a zone are those of this machine."""
    return room_pb2.Event(
        title=title,
        profile=profile,
        schedule_time=_moment(at),
        schedule_end_time=_moment(until),
        expected_viewers=viewers,
    )


def _moment(time: datetime | None) -> Timestamp | None:
    if time is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(time.astimezone(UTC))
    return moment


async def end_event(target: Target, *, event: str, as_json: bool) -> None:
    """End an event: the stage empties, the recording is closed."""
    name = event if event.startswith("events/") else f"events/{event}"
    async with target.api() as api:
        answer = await api.call(
            f"{_ROOM}/EndEvent", room_pb2.EndEventRequest(name=name), room_pb2.EndEventResponse
        )
    if as_json:
        emit({"event": _id(answer.event.name), "state": state_name(answer.event.state)})
    else:
        said = f"{_id(answer.event.name)} is {state_name(answer.event.state)}"
        console().print(said, markup=False)


async def _all_events(api: Api) -> list[room_pb2.Event]:
    events: list[room_pb2.Event] = []
    token = ""
    for _ in range(_MAX_PAGES):
        page = await api.call(
            f"{_ROOM}/ListEvents",
            room_pb2.ListEventsRequest(page_size=_PAGE, page_token=token),
            room_pb2.ListEventsResponse,
        )
        events.extend(page.events)
        token = page.next_page_token
        if not token:
            break
    return events


def state_name(state: "room_pb2.Event.State.ValueType") -> str:
    """E.g. "LIVE"."""
    return room_pb2.Event.State.Name(state).removeprefix("STATE_")


def _id(name: str) -> str:
    return name.partition("/")[2]


def _when(event: room_pb2.Event) -> str:
    for field in ("end_time", "start_time", "schedule_time", "create_time"):
        if event.HasField(field):
            moment = getattr(event, field).ToDatetime(tzinfo=UTC).astimezone()
            return f"{moment:%Y-%m-%d %H:%M}"
    return ""
