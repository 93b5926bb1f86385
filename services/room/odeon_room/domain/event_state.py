"""The states of an event and the ways between them.

SCHEDULED → WARMUP → LIVE → ENDED; SCHEDULED may go live at once, and every state may end. A step
to the state that already holds changes nothing, so a repeated call is harmless.
"""

from enum import StrEnum

from odeon_runtime.errors import DomainError, Kind


class EventState(StrEnum):
    """Where an event stands."""

    SCHEDULED = "SCHEDULED"
    WARMUP = "WARMUP"
    """Media may come in; the audience still waits."""
    LIVE = "LIVE"
    ENDED = "ENDED"


class EventWrongState(DomainError):
    """The event's state does not allow this."""

    kind = Kind.PRECONDITION
    reason = "EVENT_WRONG_STATE"


class EventEnded(DomainError):
    """The event is over; nothing changes any more."""

    kind = Kind.PRECONDITION
    reason = "EVENT_ENDED"


class EventNotOpen(DomainError):
    """Too early: no media comes in before the warm-up, no audience before the start."""

    kind = Kind.PRECONDITION
    reason = "EVENT_NOT_OPEN"


_NEXT = {
    EventState.SCHEDULED: {EventState.WARMUP, EventState.LIVE, EventState.ENDED},
    EventState.WARMUP: {EventState.LIVE, EventState.ENDED},
    EventState.LIVE: {EventState.ENDED},
    EventState.ENDED: set[EventState](),
}
OPEN = frozenset({EventState.WARMUP, EventState.LIVE})
"""States in which media may come in."""


def moved(state: EventState, to: EventState) -> EventState:
    """The state after a step to `to`.

    Raises:
        EventEnded: it is over already.
        EventWrongState: there is no way back.
    """
    if state is to or to in _NEXT[state]:
        return to
    if state is EventState.ENDED:
        raise EventEnded("the event has ended", state=state.value)
    raise EventWrongState(f"an event does not go from {state} to {to}", state=state, to=to)


def require_open(state: EventState) -> None:
    """Refuse media outside of WARMUP and LIVE."""
    if state is EventState.ENDED:
        raise EventEnded("the event has ended", state=state.value)
    if state not in OPEN:
        raise EventNotOpen("warm the event up first", state=state.value)


def require_changeable(state: EventState) -> None:
    """Refuse changes of an event that is over."""
    if state is EventState.ENDED:
        raise EventEnded("the event has ended", state=state.value)
