from datetime import UTC, datetime
from fractions import Fraction
from math import ceil

from odeon_operator.domain.amounts import Count, Percent
from odeon_operator.domain.rules import LOAD, Candidate, Rule, candidates
from odeon_operator.domain.windows import Always, Between

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
PASSED = Between(None, NOW)


def asked(*rules: Rule, load: float = 0, booked: float = 0) -> dict[str, Candidate]:
    found = candidates(
        rules, load=Fraction(load), booked=Fraction(booked), buffer=Count(2), now=NOW
    )
    return {c.rule: c for c in found}


def test_the_load_always_asks_with_the_buffer_of_the_policy() -> None:
    assert asked(load=2.5)[LOAD].pods == 5


def test_rules_out_of_their_window_ask_for_nothing() -> None:
    assert list(asked(Rule("over", PASSED, replicas=9))) == [LOAD]


def test_an_exact_rule_is_a_promise_of_exactly_its_number() -> None:
    rule = asked(Rule("gala", Always(), replicas=45), load=47.3)["gala"]

    assert (rule.pods, rule.floor) == (45, 45)


def test_a_rule_may_have_a_buffer_and_bounds_of_its_own() -> None:
    rules = (
        Rule("calm", Always(), buffer=Percent(50)),
        Rule("least", Always(), min=20),
        Rule("most", Always(), max=7, min=9),
    )

    found = asked(*rules, load=6)

    assert found["calm"].pods == 12
    assert found["least"].floor == 20
    assert found["most"].pods == 7


def test_bookings_are_promised_without_a_buffer_on_top_of_the_load() -> None:
    load = asked(load=2.5, booked=4)[LOAD]

    assert load.floor == ceil(6.5)
    assert load.pods == ceil(8.5)
    assert asked(load=2.5)[LOAD].floor == 0
