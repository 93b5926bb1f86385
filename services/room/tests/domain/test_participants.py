from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from odeon_room.domain import participants
from odeon_room.domain.event_state import EventEnded, EventNotOpen, EventState
from odeon_room.domain.events import Event
from odeon_room.domain.participants import (
    Participant,
    ParticipantGone,
    ParticipantState,
    RoomFull,
)
from odeon_runtime.ids import EventId, RoomId

NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVENT = Event(
    id=EventId("launch"),
    room=RoomId("hall"),
    title="",
    state=EventState.LIVE,
    create_time=NOW,
    waiting_room=True,
)
WAITING, ADMITTED, LEFT, REMOVED = ParticipantState


def somebody(role: str = "guest", session: str = "s-1") -> Participant:
    return Participant(
        event="launch",
        identity="bob",
        display_name="Bob",
        role=role,
        state=ADMITTED,
        join_time=NOW,
        session_id=session,
    )


def arrive(
    known: Participant | None, comer: Participant, event: Event = EVENT, *, on_stage: int = 0
) -> Participant:
    return participants.arrived(known, comer, event, on_stage=on_stage, most=2)


def test_a_guest_waits_where_there_is_a_waiting_room_and_a_host_never() -> None:
    assert arrive(None, somebody()).state is WAITING
    assert arrive(None, somebody(), replace(EVENT, waiting_room=False)).state is ADMITTED
    assert arrive(None, somebody("host")).state is ADMITTED


def test_who_was_let_in_once_comes_back_without_waiting() -> None:
    inside = participants.admitted(arrive(None, somebody()), NOW)
    gone = participants.departed(inside, "s-1")

    assert gone.state is LEFT
    assert arrive(gone, somebody(session="s-2")).state is ADMITTED


def test_the_farewell_of_an_old_session_does_not_send_the_new_one_away() -> None:
    inside = arrive(None, somebody("host", "s-1"))
    again = arrive(inside, somebody("host", "s-2"))

    assert participants.departed(again, "s-1").state is ADMITTED
    assert participants.departed(again, "s-2").state is LEFT


def test_who_was_removed_waits_again_and_who_was_banned_stays_out() -> None:
    inside = participants.admitted(arrive(None, somebody()), NOW)

    removed = participants.removed(inside, ban=False)
    banned = participants.removed(inside, ban=True)

    assert arrive(removed, somebody()).state is WAITING
    assert arrive(banned, somebody()) == banned and banned.state is REMOVED
    assert participants.removed(banned, ban=False).banned


def test_a_farewell_does_not_undo_a_removal() -> None:
    removed = participants.removed(arrive(None, somebody()), ban=True)

    assert participants.departed(removed, "s-1") == removed


def test_a_full_stage_refuses_guests_but_not_the_host_nor_who_is_hidden() -> None:
    with pytest.raises(RoomFull):
        arrive(None, somebody(), on_stage=2)
    assert arrive(None, somebody("host"), on_stage=2).state is ADMITTED
    hidden = arrive(None, somebody("recorder"), on_stage=2)
    assert hidden.hidden and hidden.state is ADMITTED


def test_nobody_enters_before_the_warm_up_or_after_the_end() -> None:
    with pytest.raises(EventNotOpen):
        arrive(None, somebody("host"), replace(EVENT, state=EventState.SCHEDULED))
    with pytest.raises(EventEnded):
        arrive(None, somebody("host"), replace(EVENT, state=EventState.ENDED))


def test_admitting_twice_changes_nothing_and_who_left_cannot_be_admitted() -> None:
    waiting = arrive(None, somebody())
    inside = participants.admitted(waiting, NOW)

    assert participants.admitted(inside, NOW + timedelta(minutes=1)) == inside
    with pytest.raises(ParticipantGone):
        participants.admitted(participants.departed(waiting, "s-1"), NOW)


def test_the_audience_waits_for_the_start_and_those_who_run_it_look_earlier() -> None:
    with pytest.raises(EventNotOpen):
        participants.require_watchable("viewer", EventState.WARMUP)
    participants.require_watchable("viewer", EventState.LIVE)
    participants.require_watchable("host", EventState.WARMUP)
