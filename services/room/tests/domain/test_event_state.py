from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_room.domain import events
from odeon_room.domain.event_state import (
    EventEnded,
    EventNotOpen,
    EventState,
    EventWrongState,
    moved,
    require_open,
)
from odeon_room.domain.events import Event
from odeon_runtime.errors import DomainError, InvalidArgument
from odeon_runtime.ids import EventId, RoomId

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PLANNED = Event(
    id=EventId("launch"),
    room=RoomId("hall"),
    title="Launch",
    state=EventState.SCHEDULED,
    create_time=NOW,
)
ORDER = list(EventState)


@given(st.lists(st.sampled_from(EventState), max_size=12))
def test_whatever_is_asked_an_event_never_goes_back(steps: list[EventState]) -> None:
    state = EventState.SCHEDULED
    for step in steps:
        try:
            after = moved(state, step)
        except DomainError:
            continue
        assert ORDER.index(after) >= ORDER.index(state)
        state = after


@pytest.mark.parametrize("state", EventState)
def test_a_step_to_where_one_is_changes_nothing(state: EventState) -> None:
    assert moved(state, state) is state


def test_a_scheduled_event_may_go_live_without_a_warm_up() -> None:
    live = events.stepped(PLANNED, EventState.LIVE, NOW)

    assert (live.state, live.start_time) == (EventState.LIVE, NOW)


def test_what_has_ended_stays_ended_and_says_so() -> None:
    for step in (EventState.SCHEDULED, EventState.WARMUP, EventState.LIVE):
        with pytest.raises(EventEnded):
            moved(EventState.ENDED, step)


def test_a_live_event_does_not_warm_up_again() -> None:
    with pytest.raises(EventWrongState):
        moved(EventState.LIVE, EventState.WARMUP)


def test_starting_and_ending_again_keeps_the_first_times_and_an_end_frees_the_node() -> None:
    live = replace(events.stepped(PLANNED, EventState.LIVE, NOW), node="n1")
    later = NOW + timedelta(hours=1)

    assert events.stepped(live, EventState.LIVE, later) == live
    ended = events.stepped(live, EventState.ENDED, later)
    assert (ended.start_time, ended.end_time, ended.node) == (NOW, later, "")
    assert events.stepped(ended, EventState.ENDED, later + timedelta(hours=1)) == ended


def test_media_comes_in_from_the_warm_up_to_the_end() -> None:
    require_open(EventState.WARMUP)
    require_open(EventState.LIVE)
    with pytest.raises(EventNotOpen):
        require_open(EventState.SCHEDULED)
    with pytest.raises(EventEnded):
        require_open(EventState.ENDED)


@pytest.mark.parametrize("path", ["state", "name", "node", "create_time", "", "*"])
def test_an_update_touches_only_what_people_may_say(path: str) -> None:
    with pytest.raises(InvalidArgument, match="update_mask"):
        events.updated(PLANNED, PLANNED, [path])


def test_the_profile_of_a_live_event_stands() -> None:
    live = events.stepped(PLANNED, EventState.LIVE, NOW)

    with pytest.raises(InvalidArgument, match="profile"):
        events.updated(live, replace(live, profile="tall"), ["profile"])
    assert events.updated(live, replace(live, title="New"), ["title"]).title == "New"


@pytest.mark.parametrize(
    "change",
    [
        {"profile": "../x"},
        {"title": "x" * 201},
        {"title": "a\x00b"},
        {"expected_viewers": -1},
        {"expected_viewers": 2**62},
    ],
)
def test_odd_fields_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(InvalidArgument):
        events.checked(replace(PLANNED, **change))  # type: ignore[arg-type]
