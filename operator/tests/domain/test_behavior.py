"""The words of HPA v2 behaviour, beside a second, naive telling of kube-controller-manager."""

import math
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odeon_operator.domain import behavior as pace
from odeon_operator.domain.amounts import Amount, Count, Percent
from odeon_operator.domain.behavior import (
    Behavior,
    Change,
    Direction,
    DisruptionBudget,
    Past,
    Rate,
    Recommendation,
    SelectPolicy,
)
from odeon_operator.domain.windows import ActivePeriod

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)

rates = st.lists(
    st.builds(
        Rate,
        st.one_of(st.builds(Count, st.integers(1, 50)), st.builds(Percent, st.integers(1, 200))),
        st.integers(1, 120).map(lambda s: s * S),
    ),
    min_size=1,
    max_size=3,
)
changes = st.lists(
    st.builds(Change, st.integers(0, 150).map(lambda s: NOW - s * S), st.integers(-20, 20)),
    max_size=6,
)
selects = st.sampled_from([SelectPolicy.MAX, SelectPolicy.MIN, SelectPolicy.DISABLED])


def needs(*ago_and_need: tuple[float, float], floor: int = 0) -> Past:
    return Past(tuple(Recommendation(NOW - ago * S, Fraction(n), floor) for ago, n in ago_and_need))


def naive_rate(rate: Rate, *, current: int, past: list[Change], out: bool) -> int:
    """horizontal.go, calculateScaleUpLimit and calculateScaleDownLimit, one policy."""
    added = sum(c.by for c in past if c.by > 0 and c.at > NOW - rate.period)
    removed = sum(-c.by for c in past if c.by < 0 and c.at > NOW - rate.period)
    start = current - added + removed
    value: Amount = rate.value
    if isinstance(value, Count):
        return start + value.pods if out else start - value.pods
    if out:
        return math.ceil(start * (1 + Fraction(value.percent) / 100))
    return math.trunc(start * (1 - Fraction(value.percent) / 100))


@given(st.integers(0, 300), rates, changes, selects)
def test_scale_out_rates_are_those_of_the_hpa(
    current: int, some: list[Rate], past: list[Change], select: SelectPolicy
) -> None:
    limit = pace.out_limit(current, past, Direction(rates=tuple(some), select=select), NOW)

    proposals = [naive_rate(r, current=current, past=past, out=True) for r in some]
    chosen = {SelectPolicy.MAX: max, SelectPolicy.MIN: min}.get(select, lambda _: current)
    assert limit == max(current, chosen(proposals))


@given(st.integers(0, 300), rates, changes, selects)
def test_scale_in_rates_are_those_of_the_hpa(
    current: int, some: list[Rate], past: list[Change], select: SelectPolicy
) -> None:
    limit = pace.in_limit(current, past, Direction(rates=tuple(some), select=select), NOW)

    proposals = [naive_rate(r, current=current, past=past, out=False) for r in some]
    chosen = {SelectPolicy.MAX: min, SelectPolicy.MIN: max}.get(select, lambda _: current)
    # No number of pods is negative; the HPA leaves that to minReplicas.
    assert limit == max(0, min(current, chosen(proposals)))


@given(
    st.integers(0, 100),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 100)), min_size=1, max_size=8),
    st.integers(0, 400),
    st.integers(0, 400),
)
def test_stabilisation_is_that_of_the_hpa(
    current: int, seen: list[tuple[int, int]], out_s: int, in_s: int
) -> None:
    seen = [*sorted(seen, reverse=True), (0, seen[-1][1])]
    behavior = Behavior(scale_out=Direction(window=out_s * S), scale_in=Direction(window=in_s * S))

    settled = pace.settle(current, needs(*seen), behavior, NOW)

    latest = seen[-1][1]
    up = min([latest, *(n for ago, n in seen if ago < out_s)])
    down = max([latest, *(n for ago, n in seen if ago < in_s)])
    assert settled.pods == min(max(current, up), down)


def test_a_need_above_is_followed_at_once_by_default() -> None:
    assert pace.settle(2, needs((0, 40.5)), Behavior(), NOW).pods == 41


def test_a_lower_need_is_followed_when_the_whole_window_was_lower() -> None:
    waits = pace.settle(10, needs((299, 10), (0, 2)), Behavior(), NOW)
    goes = pace.settle(10, needs((300, 10), (0, 2)), Behavior(), NOW)

    assert (waits.pods, waits.held_by) == (10, ("scaleIn.stabilizationWindowSeconds",))
    assert goes.pods == 2


def test_tolerance_keeps_small_distances_in_both_directions() -> None:
    tenth = Fraction(1, 10)
    behavior = Behavior(scale_out=Direction(tolerance=tenth), scale_in=Direction(tolerance=tenth))

    assert pace.settle(100, needs((0, 110)), behavior, NOW).pods == 100
    assert pace.settle(100, needs((0, 111)), behavior, NOW).pods == 111
    assert pace.settle(100, needs((0, 90)), behavior, NOW).pods == 100
    assert pace.settle(100, needs((0, 89)), behavior, NOW).pods == 89


def test_a_small_pool_keeps_the_pod_that_a_load_within_the_tolerance_would_need_again() -> None:
    # 0.9 pods of load that may be 1.1 again: one pod would not do.
    assert pace.settle(2, needs((0, 0.9)), Behavior(), NOW).pods == 2
    assert pace.settle(2, needs((0, 0.75)), Behavior(), NOW).pods == 1


def test_what_is_promised_ignores_tolerance_rates_and_the_window() -> None:
    slow = Direction(
        window=600 * S,
        rates=(Rate(Count(1), 60 * S),),
        select=SelectPolicy.DISABLED,
        tolerance=Fraction(1, 2),
    )

    assert pace.settle(2, needs((0, 0), floor=9), Behavior(scale_out=slow), NOW).pods == 9


def test_an_exact_target_is_reached_from_above_without_tolerance() -> None:
    behavior = Behavior(scale_in=Direction(tolerance=Fraction(1, 5)))

    assert pace.settle(47, needs((0, 3), floor=45), behavior, NOW).pods == 45


def test_the_cooldown_waits_after_any_change() -> None:
    behavior = Behavior(scale_in=Direction(), cooldown=60 * S)
    past = Past(needs((0, 1)).needs, (Change(NOW - 59 * S, 3),))

    assert pace.settle(9, past, behavior, NOW).held_by == ("scaleIn.cooldownSeconds",)
    assert pace.settle(9, Past(past.needs, (Change(NOW - 60 * S, 3),)), behavior, NOW).pods == 1


@pytest.mark.parametrize(("step", "left"), [(Count(3), 7), (Percent(25), 8), (Percent(1), 9)])
def test_one_decision_lets_no_more_go_than_the_step(step: Amount, left: int) -> None:
    behavior = Behavior(scale_in=Direction(), max_step=step)

    settled = pace.settle(10, needs((0, 0)), behavior, NOW)

    assert (settled.pods, settled.held_by) == (left, ("scaleIn.maxPods",))


def test_the_smallest_budget_that_holds_limits_draining() -> None:
    noon = ActivePeriod("0 12 * * *", timedelta(hours=1))
    behavior = Behavior(budgets=(DisruptionBudget(Percent(50)), DisruptionBudget(Count(1), noon)))

    assert pace.may_drain(behavior, 10, 0, NOW) == 1
    assert pace.may_drain(behavior, 10, 2, NOW) == 0
    assert pace.may_drain(behavior, 8, 2, NOW + timedelta(hours=2)) == 3
    assert pace.may_drain(Behavior(), 10, 5, NOW) is None


@settings(max_examples=25)
@given(st.integers(1, 90), st.data())
def test_what_is_remembered_is_bounded_and_enough(ticks: int, data: st.DataObject) -> None:
    behavior = Behavior(
        scale_out=Direction(rates=(Rate(Count(4), 15 * S),)), scale_in=Direction(window=300 * S)
    )
    seen = tuple(
        Recommendation(NOW - (ticks - n) * 5 * S, Fraction(data.draw(st.integers(0, 9))), 0)
        for n in range(max(0, ticks - 80), ticks + 1)
    )
    past = Past(seen, tuple(Change(NOW - n * 5 * S, 1) for n in range(20)))

    kept = pace.remembered(past, behavior, NOW)

    assert len(kept.needs) <= 60
    assert len(kept.changes) <= 3
    for current in (0, 4, 9):
        assert pace.settle(current, kept, behavior, NOW) == pace.settle(
            current, past, behavior, NOW
        )
