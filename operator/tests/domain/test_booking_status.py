from dataclasses import replace
from datetime import UTC, datetime, timedelta

from odeon_operator.domain.booking_status import (
    Amounts,
    EventStatus,
    EventSubject,
    PoolView,
    status,
)
from odeon_operator.domain.bookings import Phase

START = datetime(2026, 5, 4, 14, tzinfo=UTC)
M = timedelta(minutes=1)
NOW = START - 5 * M
SUBJECT = EventSubject(1, START)
VIEW = PoolView(Phase.PREWARMING, NOW - M, kept=Amounts(4.0, 0))


def told(
    *views: PoolView,
    before: EventStatus | None = None,
    now: datetime = NOW,
    subject: EventSubject = SUBJECT,
) -> EventStatus:
    found = status(replace(subject, before=before), views, now, known=True)
    assert found is not None
    return found


def holds(found: EventStatus) -> dict[str, tuple[bool, str]]:
    return {one.kind: (one.holds, one.reason) for one in found.conditions}


def test_nothing_is_said_before_all_pools_were_looked_at() -> None:
    assert status(SUBJECT, [VIEW], NOW, known=False) is None


def test_an_event_is_ready_when_all_pools_that_serve_it_are() -> None:
    ready = replace(VIEW, phase=Phase.READY, kept=Amounts(0.0, 900))

    assert told(VIEW, ready).phase is Phase.PREWARMING
    both = told(replace(VIEW, phase=Phase.READY), ready)
    assert (both.phase, both.ready, both.reserved) == (Phase.READY, NOW, Amounts(4.0, 900))
    assert holds(both)["PrewarmReady"] == (True, "CapacityReady")


def test_what_cannot_start_is_told_by_the_pool_that_is_short() -> None:
    short = replace(VIEW, short="gpu is limited by allocatable GPUs")

    found = told(short, replace(VIEW, phase=Phase.READY))

    assert holds(found)["CapacityShort"] == (True, "CannotStart")
    assert holds(found)["PrewarmReady"] == (False, "Prewarming")


def test_an_event_that_was_never_ready_does_not_become_it_by_beginning() -> None:
    live = told(replace(VIEW, phase=Phase.LIVE), before=told(VIEW), now=START)

    assert live.ready is None
    assert holds(live)["PrewarmReady"] == (False, "Live")


def test_an_event_that_is_moved_away_is_not_ready_any_more() -> None:
    ready = told(replace(VIEW, phase=Phase.READY))
    moved = PoolView(Phase.PENDING, NOW + 60 * M)

    found = told(moved, before=ready)

    assert (found.ready, found.prewarm) == (None, NOW + 60 * M)


def test_the_same_twice_says_nothing_new_however_late() -> None:
    first = told(VIEW)

    assert told(VIEW, before=first, now=NOW + M) == first


def test_the_peak_only_grows_and_small_steps_are_not_told() -> None:
    def using(viewers: int, before: EventStatus | None) -> EventStatus:
        return told(replace(VIEW, phase=Phase.LIVE, used=Amounts(1.0, viewers)), before=before)

    first = using(100, None)
    assert first.peak == Amounts(1.0, 100)
    assert using(105, first).peak == Amounts(1.0, 100)
    grown = using(200, first)
    assert grown.peak == Amounts(1.0, 200)
    assert using(3, grown).peak == Amounts(1.0, 200)


def test_what_is_not_admitted_keeps_its_past_and_says_why() -> None:
    before = told(replace(VIEW, phase=Phase.READY))
    foreign = replace(SUBJECT, generation=2, problem="not yours", reason="ForeignNamespace")

    found = told(VIEW, before=before, subject=foreign)

    assert (found.ready, found.generation) == (before.ready, 2)
    assert holds(found)["Admitted"] == (False, "ForeignNamespace")
    assert holds(found)["PrewarmReady"] == (False, "ForeignNamespace")


def test_an_event_that_no_pool_serves_says_so() -> None:
    assert holds(told())["PrewarmReady"] == (False, "NoPool")


def test_what_is_learned_of_cold_starts_is_not_written_to_every_booking_of_next_month() -> None:
    month = NOW + 30 * 24 * 60 * M
    first = told(PoolView(Phase.PENDING, month))

    assert told(PoolView(Phase.PENDING, month + 9 * M), before=first).prewarm == month
    close = month - 10 * M
    again = told(PoolView(Phase.PENDING, month + 9 * M), before=first, now=close)
    assert again.prewarm == month + 9 * M
