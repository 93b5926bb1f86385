from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from odeon_room.domain import bookings, events
from odeon_room.domain.bookings import Booking, BookingState
from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.jobs import Job, JobState
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId, RoomId

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
START = NOW + timedelta(hours=3)
H = timedelta(hours=1)
EVENT = Event(
    id=EventId("gala"),
    room=RoomId("hall"),
    title="Gala",
    state=EventState.SCHEDULED,
    create_time=NOW,
    schedule_time=START,
    schedule_end_time=START + H,
)


def booked(event: Event, *jobs: Job) -> Booking:
    found = bookings.booking(event, jobs)
    assert found is not None
    return found


def job(state: JobState, profile: str = "default") -> Job:
    return Job(
        tenant="acme",
        id=f"job-{state}",
        event="gala",
        state=state,
        profile=profile,
        create_time=NOW,
        offer_time=NOW,
    )


def test_an_event_without_a_planned_time_books_nothing() -> None:
    spontaneous = replace(EVENT, schedule_time=None, schedule_end_time=None)

    assert bookings.booking(spontaneous, ()) is None


def test_an_event_of_which_nobody_said_the_end_is_booked_for_two_hours() -> None:
    assert booked(replace(EVENT, schedule_end_time=None)).end == START + 2 * H


def test_half_of_those_who_registered_are_expected_when_nobody_said_how_many() -> None:
    assert booked(replace(EVENT, registrations=301)).expected_viewers == 151
    assert booked(replace(EVENT, registrations=301, expected_viewers=40)).expected_viewers == 40
    assert booked(EVENT).expected_viewers == 0


def test_it_will_need_one_job_of_its_profile_and_tells_which_run() -> None:
    found = booked(
        replace(EVENT, profile="hd"),
        job(JobState.CLAIMED, "hd"),
        job(JobState.DONE, "hd"),
        job(JobState.OFFERED),
    )

    assert found.expected == (("hd", 1),)
    assert found.running == (("hd", 1),)


def test_an_end_without_a_start_was_a_cancellation() -> None:
    live = events.stepped(EVENT, EventState.LIVE, START)

    assert booked(events.stepped(EVENT, EventState.ENDED, NOW)).state is BookingState.CANCELLED
    assert booked(live).state is BookingState.LIVE
    over = booked(events.stepped(live, EventState.ENDED, START + H))
    assert (over.state, over.started, over.ended) == (BookingState.ENDED, START, START + H)


def test_it_is_told_for_a_day_after_it_was_over_and_always_while_it_runs() -> None:
    live = events.stepped(EVENT, EventState.LIVE, START)
    over = events.stepped(live, EventState.ENDED, START + 5 * H)
    day = timedelta(days=1)

    assert booked(live).told_at(START + 40 * day)
    assert booked(over).told_at(START + 5 * H + day - timedelta(seconds=1))
    assert not booked(over).told_at(START + 5 * H + day)
    assert booked(EVENT).told_at(START)
    assert not booked(EVENT).told_at(START + H + day)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"schedule_end_time": START}, "schedule_end_time"),
        ({"schedule_end_time": START + timedelta(days=15)}, "schedule_end_time"),
        ({"schedule_time": None}, "schedule_end_time"),
        ({"registrations": -1}, "registrations"),
        ({"registrations": 10_000_001}, "registrations"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_by_its_field(
    fields: dict[str, object], field: str
) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        events.checked(replace(EVENT, **fields))  # type: ignore[arg-type]

    assert refusal.value.field == field


def test_what_is_planned_may_be_moved_as_long_as_it_is_not_over() -> None:
    later = replace(EVENT, schedule_time=START + H, schedule_end_time=START + 2 * H)

    moved = events.updated(EVENT, later, ["schedule_time", "schedule_end_time"])

    assert (moved.schedule_time, moved.schedule_end_time) == (START + H, START + 2 * H)
    with pytest.raises(InvalidArgument):
        events.updated(EVENT, later, ["schedule_time"])
