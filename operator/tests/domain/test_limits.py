from datetime import UTC, datetime, timedelta

import pytest
from odeon_operator.domain.limits import Budget, OnExceed, bounds

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)


def test_a_budget_caps_and_wins_over_the_minimum() -> None:
    frame = bounds(least=5, most=50, budget=Budget(max_replicas=3), gpu_hours_today=None, current=1)

    assert (frame.least, frame.most, frame.most_by) == (3, 3, "budget.maxReplicas")


@pytest.mark.parametrize(("used", "most"), [(9.9, 50), (10.0, 7), (None, 50)])
def test_used_up_gpu_hours_stop_growth_and_unknown_ones_do_not(
    used: float | None, most: int
) -> None:
    budget = Budget(max_gpu_hours_per_day=10.0)

    frame = bounds(least=0, most=50, budget=budget, gpu_hours_today=used, current=7)

    assert frame.most == most
    assert bool(frame.warned) == (used is None)


def test_a_budget_that_warns_limits_nothing() -> None:
    budget = Budget(max_replicas=3, on_exceed=OnExceed.WARN)

    frame = bounds(least=0, most=50, budget=budget, gpu_hours_today=None, current=7)

    assert frame.most == 50
    assert frame.warned
