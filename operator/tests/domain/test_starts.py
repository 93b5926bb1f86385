from datetime import UTC, datetime, timedelta

from odeon_operator.domain.starts import LONGEST_WAIT, MAX_PENDING, Backoff, Room, allowed

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)


def start(missing: int, room: Room, *, pending: int = 0, max_surge: int | None = None) -> int:
    return allowed(
        missing, starting=pending, pending=pending, max_surge=max_surge, room=room, now=NOW
    ).pods


def test_only_allocatable_gpus_count_and_few_may_wait_beyond_them() -> None:
    assert start(20, Room(free=6, limited=True)) == 6 + MAX_PENDING
    assert start(20, Room(free=6, limited=True), pending=6 + MAX_PENDING) == 0
    assert start(3, Room(free=6, limited=True)) == 3


def test_an_unknown_number_of_gpus_is_neither_none_nor_plenty() -> None:
    assert start(20, Room(free=None, limited=True)) == 1
    assert start(20, Room(free=None, limited=True), pending=1) == 0


def test_while_backing_off_only_gpus_that_are_there_are_used() -> None:
    waits = Backoff().failed(NOW)

    assert start(20, Room(free=2, limited=True, backoff=waits)) == 2
    assert start(20, Room(backoff=waits)) == 0
    assert (
        allowed(
            20, starting=0, pending=0, max_surge=None, room=Room(backoff=waits), now=NOW + 30 * S
        ).pods
        == 20
    )


def test_surge_bounds_what_starts_at_once() -> None:
    assert start(20, Room(), pending=3, max_surge=5) == 2


def test_every_failure_doubles_the_wait_up_to_a_bound() -> None:
    backoff, waits = Backoff(), []
    for _ in range(2000):
        backoff = backoff.failed(NOW)
        assert backoff.until is not None
        waits.append((backoff.until - NOW).total_seconds())

    assert waits[:4] == [30, 60, 120, 240]
    assert waits[-1] == LONGEST_WAIT.total_seconds()
