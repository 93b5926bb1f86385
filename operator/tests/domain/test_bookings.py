from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import bookings
from odeon_operator.domain.bookings import Booking, EventsPolicy, Phase
from odeon_operator.domain.reports import Metric

SLOTS = Metric.ACTIVE_TRANSCODES
START = datetime(2026, 5, 4, 14, tzinfo=UTC)
END = START + timedelta(hours=1)
M = timedelta(minutes=1)
LEAD = 5 * M
POLICY = EventsPolicy(ramp=10 * M, hold_after_end=5 * M, no_show_after=30 * M)
EVENT = Booking("gala", "acme", START, END, {SLOTS: Fraction(8)})


def kept(booking: Booking, now: datetime) -> Fraction:
    return bookings.still_to_come(booking, SLOTS, POLICY, lead=LEAD, now=now)


def using(slots: int, peak: int | None = None) -> Booking:
    highest = slots if peak is None else peak
    return replace(EVENT, actual={SLOTS: Fraction(slots)}, peak={SLOTS: Fraction(highest)})


def test_all_of_it_is_wanted_from_the_lead_to_the_end_of_the_hold() -> None:
    assert kept(EVENT, START - LEAD) == 8
    assert kept(EVENT, END + 5 * M - timedelta(microseconds=1)) == 8
    assert kept(EVENT, END + 5 * M) == 0


def test_it_rises_along_the_ramp_that_ends_at_the_lead() -> None:
    assert kept(EVENT, START - LEAD - 10 * M) == 0
    assert kept(EVENT, START - LEAD - 5 * M) == 4
    assert 7 < kept(EVENT, START - LEAD - timedelta(seconds=30)) < 8


@given(st.integers(-120, 0), st.integers(0, 120))
def test_before_the_end_it_never_falls_while_nothing_is_known(early: int, later: int) -> None:
    one = START + early * M
    two = min(one + later * M, END)

    assert kept(EVENT, one) <= kept(EVENT, two)


def test_what_the_event_uses_is_taken_off_because_it_is_in_the_load() -> None:
    assert kept(using(3), START + M) == 5
    assert kept(using(11), START + M) == 0


def test_after_the_end_no_more_is_held_than_it_ever_used() -> None:
    assert kept(using(0, peak=5), END + M) == 5
    assert kept(EVENT, END + M) == 8


def test_an_event_that_ends_early_gives_back_early() -> None:
    early = replace(using(0, peak=8), ended=START + 10 * M)

    assert kept(early, START + 14 * M) == 8
    assert kept(early, START + 15 * M) == 0


def test_an_event_that_does_not_come_gives_its_capacity_back() -> None:
    assert kept(using(0), START + 29 * M) == 8
    assert kept(using(0), START + 30 * M) == 0


def test_not_knowing_whether_it_came_is_no_reason_to_give_back() -> None:
    assert kept(EVENT, START + 40 * M) == 8


def test_an_event_that_came_and_paused_is_no_no_show() -> None:
    assert kept(using(0, peak=2), START + 40 * M) == 8


def test_a_followed_event_that_is_not_told_to_have_started_did_not_come() -> None:
    followed = replace(EVENT, followed=True)

    assert kept(followed, START + 29 * M) == 8
    assert kept(followed, START + 30 * M) == 0
    assert kept(replace(followed, started=START + 5 * M), START + 40 * M) == 8
    # Somebody waits at the door.
    assert kept(replace(followed, actual={SLOTS: Fraction(1)}), START + 40 * M) == 7


def test_a_followed_event_is_live_from_its_start_to_its_end_whatever_was_planned() -> None:
    def phase(booking: Booking, now: datetime) -> Phase:
        return bookings.phase(booking, POLICY, lead=LEAD, now=now, ready=True)

    waited_for = replace(using(2), followed=True)
    runs = replace(waited_for, started=START)

    assert phase(waited_for, START - M) is Phase.READY
    assert phase(runs, START + M) is Phase.LIVE
    assert phase(runs, END + 60 * M) is Phase.LIVE
    assert phase(replace(runs, ended=END + 60 * M), END + 61 * M) is Phase.COOLING
    assert phase(replace(runs, ended=END + 60 * M), END + 65 * M) is Phase.DONE


def test_a_cancelled_event_keeps_nothing() -> None:
    assert kept(replace(EVENT, cancelled=True), START) == 0


def test_a_booking_made_late_is_wanted_whole_at_once() -> None:
    assert kept(EVENT, START - M) == 8


def test_a_booking_walks_through_its_phases() -> None:
    def phase(booking: Booking, now: datetime, *, ready: bool = False) -> Phase:
        return bookings.phase(booking, POLICY, lead=LEAD, now=now, ready=ready)

    assert phase(EVENT, START - 16 * M) is Phase.PENDING
    assert phase(EVENT, START - 14 * M) is Phase.PREWARMING
    assert phase(EVENT, START - M, ready=True) is Phase.READY
    assert phase(using(4), START + M) is Phase.LIVE
    assert phase(using(0, peak=4), END + M) is Phase.COOLING
    assert phase(using(0, peak=4), END + 5 * M) is Phase.DONE
    assert phase(using(0), START + 31 * M) is Phase.NO_SHOW


@given(
    st.integers(-300, 300),
    st.integers(0, 60),
    st.integers(0, 30),
    st.sampled_from(["planned", "cancelled", "runs", "ended early", "used"]),
)
def test_a_booking_that_is_asleep_asks_for_nothing_until_it_is_looked_at_again(
    at: int, ahead: int, later: int, kind: str
) -> None:
    booking = {
        "planned": EVENT,
        "cancelled": replace(EVENT, cancelled=True),
        "runs": replace(EVENT, followed=True, started=START),
        "ended early": replace(EVENT, followed=True, started=START, ended=START + 9 * M),
        "used": using(3, peak=9),
    }[kind]
    now = START + at * M

    asleep = bookings.asleep(booking, POLICY, lead=LEAD, ahead=ahead * M, now=now)

    then = now + min(later, ahead) * M
    if asleep is not None:
        assert kept(booking, then) == 0
        assert asleep is bookings.phase(booking, POLICY, lead=LEAD, now=then, ready=True)
    elif kind == "planned":
        assert START - (15 + ahead) * M <= now < END + 5 * M
