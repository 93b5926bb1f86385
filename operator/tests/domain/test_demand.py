from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from odeon_operator.domain.demand import Certainty, Load, Observation, Target, measure
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Metric, Report

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
SLOTS, EXTERNAL = Metric.ACTIVE_TRANSCODES, Metric.EXTERNAL


def pod(slots: float, *, age: int = 0, state: PodState = PodState.ALLOCATED) -> Pod:
    report = Report(NOW - age * S, sessions=1, slots=slots)
    return Pod("p", f"u{slots}", 0, state, NOW, node="n", report=report)


def load(
    *pods: Pod,
    metric: Metric = SLOTS,
    outside: Observation | None = None,
    hands_over: bool = False,
) -> Load:
    target = Target(metric, Fraction(1))
    return measure(pods, [target], outside, hands_over=hands_over, now=NOW, stale_after=15 * S)


def test_fresh_readings_are_added_up() -> None:
    assert load(pod(1.5), pod(2)).of(SLOTS) == Fraction(7, 2)
    assert load(pod(1.5), pod(2)).certainty is Certainty.KNOWN


def test_a_pod_gone_quiet_counts_with_what_it_said_last_and_makes_the_load_unsure() -> None:
    found = load(pod(1), pod(3, age=16))

    assert found.of(SLOTS) == 4
    assert (found.certainty, found.silent) == (Certainty.PARTIAL, ("p",))


def test_when_nobody_is_heard_of_the_load_is_unknown() -> None:
    never = replace(pod(0), report=None)

    assert load(pod(3, age=16), never).certainty is Certainty.UNKNOWN


def test_an_empty_pool_is_known_to_carry_nothing() -> None:
    assert load() == Load(((SLOTS, Fraction(0)),), Certainty.KNOWN)


def test_starting_pods_are_neither_load_nor_silence() -> None:
    starting = replace(pod(0, state=PodState.STARTING), report=None)

    assert load(starting).certainty is Certainty.KNOWN


def test_sessions_of_draining_pods_count_where_they_move_to_others() -> None:
    draining = pod(5, state=PodState.DRAINING)

    assert load(draining, hands_over=True).of(SLOTS) == 5
    assert load(draining, hands_over=False).of(SLOTS) == 0


def test_a_pod_whose_node_is_lost_does_not_make_the_others_unknown() -> None:
    lost = replace(pod(5, age=60), healthy=False)

    assert load(pod(1), lost).certainty is Certainty.KNOWN


def test_an_outside_number_that_is_missing_or_old_is_unknown_not_zero() -> None:
    fresh = Observation(7.0, NOW)

    assert load(metric=EXTERNAL, outside=fresh).of(EXTERNAL) == 7
    assert load(metric=EXTERNAL, outside=None).certainty is Certainty.UNKNOWN
    old = Observation(7.0, NOW - 16 * S)
    assert load(metric=EXTERNAL, outside=old).certainty is Certainty.UNKNOWN
