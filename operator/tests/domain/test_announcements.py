"""What of a look at a pool is worth an Event."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from odeon_operator.domain import announcements
from odeon_operator.domain.conditions import Condition, linked, troubles
from odeon_operator.domain.decision import Decision, figures
from odeon_operator.domain.demand import Certainty, Load
from odeon_operator.domain.limits import Limit
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.selection import Actions

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOAD = Load(((Metric.ACTIVE_TRANSCODES, Fraction(4)),), Certainty.KNOWN)
AT_REST = Decision("main", NOW, 4, 4, 4, "load", LOAD)
PODS = [Pod(f"main-{n}", f"u{n}", n, PodState.READY, NOW - timedelta(minutes=9)) for n in range(8)]


def reasons(decision: Decision) -> list[str]:
    return [one.reason for one in announcements.of_decision(decision, PODS)]


def condition(kind: str, reason: str, *, holds: bool = False, message: str = "") -> Condition:
    return Condition(kind, holds, reason, message, NOW)


def test_a_decision_that_changes_nothing_is_not_told_nor_one_that_only_tries() -> None:
    tries = replace(AT_REST, wanted=9, dry_run=True)

    assert reasons(AT_REST) == reasons(tries) == []


def test_a_changed_number_is_told_with_all_that_led_to_it() -> None:
    (told,) = announcements.of_decision(replace(AT_REST, wanted=6, held_by=("x",)), PODS)

    assert (told.reason, told.action, told.warning) == ("ScaledOut", "Scale", False)
    assert "wants 6 pods (before: 4" in told.note
    assert "Held back by x." in told.note
    assert reasons(replace(AT_REST, wanted=3)) == ["ScaledIn"]


def test_pods_that_are_touched_are_named_a_few_of_many() -> None:
    actions = Actions(
        start=(4,), drain=tuple(p.uid for p in PODS), hand_over=("u1",), delete=("u2", "u3")
    )

    told = announcements.of_decision(replace(AT_REST, actions=actions), PODS)

    assert [one.reason for one in told] == ["Replacing", "Draining", "HandingOver", "Deleting"]
    assert told[1].note == "Drains main-0, main-1, main-2, main-3, main-4 and 3 more."


def test_a_condition_is_told_when_it_turns_and_new_only_if_it_is_trouble() -> None:
    fine, short = condition("Ready", "EnoughPods", holds=True), condition("Ready", "TooFewPods")
    blocked = condition("DrainBlocked", "StillInUse", holds=True, message="p: busy")

    assert announcements.of_conditions([], [fine]) == ()
    assert announcements.of_conditions([fine], [fine]) == ()
    assert [t.warning for t in announcements.of_conditions([fine], [short])] == [False]
    (told,) = announcements.of_conditions([fine], [fine, blocked])
    assert (told.warning, told.note) == (True, "DrainBlocked holds: p: busy")


def test_trouble_is_counted_by_condition_and_none_is_zero() -> None:
    found = troubles([condition("DrainBlocked", "StillInUse"), condition("Ready", "TooFewPods")])

    assert (found["DrainBlocked"], found["Ready"], found["CapacityShort"]) == (1, 0, 0)


def test_a_decision_is_told_in_flat_facts_inputs_rule_and_result() -> None:
    decision = replace(AT_REST, wanted=6, limits=(Limit("main", "maxReplicas", 9, 6),))

    told = figures(decision)

    assert (told["load"], told["certainty"]) == ("ActiveTranscodes=4", "known")
    assert (told["rule"], told["wanted"], told["previous"]) == ("load", 6, 4)
    assert told["limits"] == "main:maxReplicas=6/9"


def test_trouble_says_where_to_read_on() -> None:
    blocked = condition("DrainBlocked", "StillInUse", holds=True, message="p: busy")
    fine = condition("Ready", "EnoughPods", holds=True, message="4 of 4")

    told = linked([blocked, fine], "https://docs")

    assert [one.message for one in told] == ["p: busy; see https://docs#drainblocked", "4 of 4"]
    assert linked([blocked], "") == (blocked,)
