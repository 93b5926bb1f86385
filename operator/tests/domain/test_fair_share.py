from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain.fair_share import Claim, Tenant, divide

claims = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 60), st.integers(1, 5)), min_size=1, max_size=6
).map(lambda raw: [Claim(f"t{n}", live, live + more, w) for n, (live, more, w) in enumerate(raw)])


@given(st.integers(0, 300), claims)
def test_no_capacity_is_idle_while_somebody_asks_for_it(capacity: int, some: list[Claim]) -> None:
    shares = divide(capacity, some)

    live, asked = sum(c.live for c in some), sum(c.wanted for c in some)
    assert sum(shares.values()) == max(live, min(capacity, asked))


@given(st.integers(0, 300), claims)
def test_live_work_is_never_taken_and_nobody_gets_more_than_it_asked(
    capacity: int, some: list[Claim]
) -> None:
    shares = divide(capacity, some)

    assert all(c.live <= shares[c.tenant] <= c.wanted for c in some)


@given(st.integers(0, 300), claims)
def test_who_is_short_has_as_much_per_weight_as_anybody_above_its_live_work(
    capacity: int, some: list[Claim]
) -> None:
    shares = divide(capacity, some)

    for short in (c for c in some if shares[c.tenant] < c.wanted):
        for other in (c for c in some if shares[c.tenant] > c.live):
            mine = Fraction(shares[short.tenant] + 1, short.weight)
            theirs = Fraction(shares[other.tenant], other.weight)
            assert theirs <= mine


def test_a_tenant_of_twice_the_weight_gets_twice_as_much() -> None:
    shares = divide(30, [Claim("a", 0, 100, 1), Claim("b", 0, 100, 2)])

    assert shares == {"a": 10, "b": 20}


def test_what_one_does_not_ask_for_goes_to_the_others() -> None:
    shares = divide(30, [Claim("a", 0, 3, 5), Claim("b", 0, 100, 1), Claim("c", 0, 100, 2)])

    assert shares == {"a": 3, "b": 9, "c": 18}


def test_a_quota_admits_up_to_itself_and_takes_nothing_away() -> None:
    above = Tenant("a", quota=4, live=Fraction(6))

    assert above.admitted(Fraction(3)) == 0
    assert Tenant("b", quota=4, live=Fraction(1)).admitted(Fraction(9)) == 3
    assert Tenant("c").admitted(Fraction(9)) == 9
