from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import amounts
from odeon_operator.domain.amounts import Count, Percent
from odeon_runtime.errors import InvalidArgument


@given(st.integers(0, 10_000), st.integers(0, 99))
def test_a_percent_buffer_is_the_share_of_the_result_that_stays_free(
    allocated: int, pct: int
) -> None:
    pods = ceil(amounts.with_buffer(Fraction(allocated), Percent(pct)))

    assert pods == -(-allocated * 100 // (100 - pct))
    assert (pods - allocated) * 100 >= pct * pods
    assert pods == 0 or (pods - 1 - allocated) * 100 < pct * (pods - 1) or pods == allocated


@given(st.integers(0, 10_000), st.integers(1, 64), st.integers(0, 100))
def test_an_absolute_buffer_is_added_to_the_pods_that_the_load_needs(
    slots: int, per_pod: int, buffer: int
) -> None:
    pods = ceil(amounts.with_buffer(Fraction(slots, per_pod), Count(buffer)))

    assert pods == -(-slots // per_pod) + buffer


@pytest.mark.parametrize(("raw", "amount"), [(0, Count(0)), (7, Count(7)), ("20%", Percent(20))])
def test_amounts_are_numbers_or_percentages(raw: int | str, amount: amounts.Amount) -> None:
    assert amounts.parse(raw, field="buffer") == amount


@pytest.mark.parametrize("raw", [-1, "20", "%", "-5%", "x%", "1.5%", "²%", True])
def test_anything_else_is_refused_by_the_name_of_its_field(raw: int | str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        amounts.parse(raw, field="spec.buffer")

    assert refusal.value.field == "spec.buffer"


def test_a_buffer_of_everything_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        amounts.check_buffer(Percent(100), field="buffer")


def test_percentages_of_pods_round_towards_the_safe_side() -> None:
    assert amounts.rounded_up(Percent(10), 11) == 2
    assert amounts.rounded_down(Percent(10), 19) == 1
