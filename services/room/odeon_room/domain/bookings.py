"""What is told of an event that is planned for a time, so that capacity is there when it begins.

Everything is told at once, as it stands, so that whoever hears only the last of it knows all of it.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from odeon_room.domain.event_state import OPEN, EventState
from odeon_room.domain.events import Event
from odeon_room.domain.jobs import Job, JobState

USUAL_LENGTH = timedelta(hours=2)
"""Of an event that nobody said an end of; it keeps what it uses for as long as it really runs."""
TOLD_AFTER = timedelta(days=1)
"""How long after its end a booking is still told: those who make capacity may have been away."""


class BookingState(StrEnum):
    """Where a booking stands."""

    SCHEDULED = "SCHEDULED"
    WARMUP = "WARMUP"
    LIVE = "LIVE"
    ENDED = "ENDED"
    CANCELLED = "CANCELLED"
    """Ended without ever having been live."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """All that is told of one.

    Attributes:
        start, end: as planned.
        started, ended: when it really did.
        expected_viewers: at once; 0 when nothing is known.
        expected, running: jobs by profile: that it will need, and that are on a worker.
    """

    event: str
    state: BookingState
    start: datetime
    end: datetime
    started: datetime | None = None
    ended: datetime | None = None
    expected_viewers: int = 0
    registrations: int = 0
    expected: tuple[tuple[str, int], ...] = ()
    running: tuple[tuple[str, int], ...] = ()

    def told_at(self, now: datetime) -> bool:
        """Whether it is still to be told; while it runs it always is."""
        if self.state in (BookingState.WARMUP, BookingState.LIVE):
            return True
        return now < (self.ended or self.end) + TOLD_AFTER


def booking(event: Event, jobs: Iterable[Job]) -> Booking | None:
    """What an event books; None for one that nobody planned a time for."""
    if event.schedule_time is None:
        return None
    running = Counter(job.profile for job in jobs if job.state is JobState.CLAIMED)
    return Booking(
        event=event.id,
        state=_state(event),
        start=event.schedule_time,
        end=event.schedule_end_time or event.schedule_time + USUAL_LENGTH,
        started=event.start_time,
        ended=event.end_time,
        expected_viewers=expected_viewers(event),
        registrations=event.registrations,
        expected=((event.profile, 1),),
        running=tuple(sorted(running.items())),
    )


def expected_viewers(event: Event) -> int:
    """Viewers at once: what was said, else half of those who registered, rounded up.

    Yearly reports of makers of webinars tell that 35 to 57 of a hundred who registered come.
    """
    return event.expected_viewers or (event.registrations + 1) // 2


def _state(event: Event) -> BookingState:
    if event.state in OPEN or event.state is EventState.SCHEDULED:
        return BookingState(event.state.value)
    return BookingState.ENDED if event.start_time is not None else BookingState.CANCELLED
