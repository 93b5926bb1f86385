"""Pods whose node goes away: who goes when, and whose jobs move."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain.amounts import Count
from odeon_operator.domain.behavior import Past, Recommendation
from odeon_operator.domain.decision import Decision, Inputs, Memory, explain
from odeon_operator.domain.demand import Target
from odeon_operator.domain.moving import handed_over
from odeon_operator.domain.nodes import Notice
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric, Report

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
ASKED = NOW - 9 * S
POOL = Pool("main", 0, 40, (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),))
POLICY = Policy(buffer=Count(1))
IDLE_LONG = Past((Recommendation(NOW - 299 * S, Fraction(0), 0),))
CORDON = Notice("node-1 is cordoned")
SPOT = Notice("node-1 goes away (spot)", soon=True)


def pod(index: int, slots: int = 0, notice: Notice | None = None, **fields: object) -> Pod:
    state = PodState.ALLOCATED if slots else PodState.READY
    report = Report(NOW, sessions=slots, slots=slots)
    made = Pod(f"p-{index}", f"u{index}", index, state, NOW - 900 * S, node="n", report=report)
    return replace(made, notice=notice, **fields)  # type: ignore[arg-type]


def moving(index: int, slots: int, *, handing_over: bool = False) -> Pod:
    report = Report(NOW, sessions=slots, slots=slots, obeys=ASKED)
    return pod(
        index,
        state=PodState.DRAINING,
        notice=CORDON,
        drain_asked=ASKED,
        drain_acked=ASKED,
        report=report,
        handing_over=handing_over,
    )


def decided(pods: Sequence[Pod], *, policy: Policy = POLICY, wanted: int | None = None) -> Decision:
    memory = Memory(wanted=wanted, past=IDLE_LONG)
    return decide(POOL, policy, Inputs(NOW, tuple(pods)), memory).decision


def test_replacements_start_before_pods_of_a_cordoned_node_drain() -> None:
    before = decided([pod(0, 2, CORDON), pod(1, 0, CORDON)], wanted=2)
    assert (before.actions.start, before.actions.drain) == ((2, 3), ())

    one_serves = decided([pod(0, 2, CORDON), pod(1, 0, CORDON), pod(2)], wanted=2)
    assert one_serves.actions.drain == ("u1",)

    all_serve = decided([pod(0, 2, CORDON), pod(1, 0, CORDON), pod(2), pod(3)], wanted=2)
    assert set(all_serve.actions.drain) == {"u0", "u1"}
    assert "Pods leave: node-1 is cordoned." in explain(all_serve)


def test_pods_of_a_node_that_goes_soon_take_no_new_work_from_now_on() -> None:
    actions = decided([pod(0, 2, SPOT), pod(1, 0, SPOT)], wanted=2).actions

    assert set(actions.drain) == {"u0", "u1"}
    assert actions.start == (2, 3)


def test_jobs_are_handed_over_when_pods_that_stay_have_room_for_them() -> None:
    assert decided([moving(0, 2), pod(1, 1), pod(2, 2)], wanted=2).actions.hand_over == ()
    assert decided([moving(0, 2), pod(1, 1), pod(2, 1)], wanted=2).actions.hand_over == ("u0",)


def test_a_load_that_has_to_move_is_load() -> None:
    assert decided([moving(0, 2), moving(1, 2), pod(2)], wanted=1).wanted == 3


def test_an_update_and_a_node_that_goes_do_not_take_the_same_spare_pod_twice() -> None:
    old = [pod(n, 0, CORDON if n < 2 else None, version="old") for n in range(4)]
    new = [pod(4, version="new"), pod(5, version="new")]
    updates = replace(POOL, version="new", least=4)
    memory = Memory(wanted=4, past=IDLE_LONG)

    decision = decide(updates, POLICY, Inputs(NOW, (*old, *new)), memory).decision

    assert set(decision.actions.drain) == {"u0", "u1"}


def test_a_pod_that_never_came_up_on_its_node_makes_no_load_unknown() -> None:
    gone = pod(0, state=PodState.DRAINING, report=None, drain_asked=ASKED, notice=CORDON)

    assert decided([gone, pod(1)], wanted=1).load.certainty == "known"


def test_the_next_pods_wait_until_those_that_handed_over_are_gone() -> None:
    room = [pod(5), pod(6)]

    assert handed_over([moving(0, 2), moving(1, 0, handing_over=True), *room], Fraction(2)) == ()
    assert handed_over([moving(0, 2), moving(1, 2, handing_over=True), *room], Fraction(2)) == (
        "u0",
    )
    crowded = [moving(0, 2), moving(1, 2, handing_over=True), pod(5)]
    assert handed_over(crowded, Fraction(2)) == ()


def test_a_paused_pool_still_leaves_a_node() -> None:
    paused = replace(POLICY, pause_in=True)

    assert decided([pod(0, 0, CORDON), pod(1)], policy=paused, wanted=1).actions.drain == ("u0",)
    done = replace(moving(0, 0), earlier=Report(NOW - S, obeys=ASKED))
    assert decided([done, pod(1)], policy=paused, wanted=1).actions.delete == ("u0",)


def test_a_pod_that_leaves_its_node_is_not_taken_back() -> None:
    assert decided([moving(0, 2)], wanted=2).actions.undrain == ()


@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), max_size=6),
    st.lists(st.integers(0, 4), max_size=6),
)
def test_no_more_is_handed_over_than_there_is_room_for(
    leaving: list[tuple[int, bool]], staying: list[int]
) -> None:
    pods = [moving(n, slots, handing_over=told) for n, (slots, told) in enumerate(leaving)]
    rest = [pod(20 + n, slots) for n, slots in enumerate(staying)]

    chosen = handed_over([*pods, *rest], Fraction(4))

    moved = sum(slots for n, (slots, told) in enumerate(leaving) if told or f"u{n}" in chosen)
    assert not chosen or moved <= sum(4 - slots for slots in staying)
