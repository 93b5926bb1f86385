"""Which rungs rest when the machine cannot keep up."""

from odeon_transcoder.domain.overload import OverloadGuard, OverloadLimits

STEP = 0.25


def _run(
    guard: OverloadGuard, seconds: float, *, start: float, lag: float, busy: float = 0.2
) -> list[int]:
    return [guard.observe(start + n * STEP, lag, busy) for n in range(int(seconds / STEP))]


def test_being_behind_stops_the_top_rung_well_within_five_seconds() -> None:
    guard = OverloadGuard(rungs=3)

    resting = _run(guard, 5, start=0, lag=1.0, busy=1.2)

    assert resting[int(2 / STEP)] >= 1


def test_a_hiccup_stops_nothing() -> None:
    guard = OverloadGuard(rungs=3)

    for second in range(20):
        _run(guard, 0.75, start=second, lag=0.9)
        _run(guard, 0.25, start=second + 0.75, lag=0.1)

    assert guard.resting == 0


def test_the_others_get_time_to_catch_up_and_the_last_rung_always_runs() -> None:
    guard = OverloadGuard(rungs=3)

    resting = _run(guard, 30, start=0, lag=2.0)

    first, second = resting.index(1), resting.index(2)
    assert (second - first) * STEP >= OverloadLimits().settle_s
    assert max(resting) == 2


def test_a_rung_comes_back_after_calm_with_spare_power() -> None:
    guard = OverloadGuard(rungs=2)
    _run(guard, 3, start=0, lag=1.0)

    busy = _run(guard, 20, start=3, lag=0.0, busy=0.9)
    assert set(busy) == {1}

    calm = _run(guard, 11, start=23, lag=0.0, busy=0.2)
    assert calm[-1] == 0 and calm[int(8 / STEP)] == 1


def test_every_relapse_doubles_the_wait() -> None:
    guard, now = OverloadGuard(rungs=2), 0.0
    waits = []
    for _ in range(3):
        while guard.observe(now, 1.0, 1.0) == 0:
            now += STEP
        stopped = now
        while guard.observe(now, 0.0, 0.1) == 1:
            now += STEP
        waits.append(now - stopped)

    assert waits[1] > waits[0] * 1.7 and waits[2] > waits[1] * 1.7
