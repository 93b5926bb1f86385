"""A new template: who goes, who comes first, and what stops it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain.amounts import Amount, Count, Percent
from odeon_operator.domain.behavior import Behavior, DisruptionBudget, Past, Recommendation
from odeon_operator.domain.decision import Decision, Inputs, Memory
from odeon_operator.domain.demand import Target
from odeon_operator.domain.learning import PENDING_TOO_LONG
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric, Report
from odeon_operator.domain.rollout import LINGERING, TOO_LATE, UpdateStrategy
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.starts import Backoff, Room

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
ASKED = NOW - 9 * S
POOL = Pool("main", 0, 40, (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),), version="new")
POLICY = Policy(buffer=Count(0))
LONG_AGO = Past((Recommendation(NOW - 299 * S, Fraction(0), 0),))


def pod(index: int, slots: int = 0, *, version: str = "old", **fields: object) -> Pod:
    state = PodState.ALLOCATED if slots else PodState.READY
    report = Report(NOW, sessions=slots, slots=slots)
    made = Pod(f"p-{index}", f"u{index}", index, state, NOW - 900 * S, version, "n", report=report)
    return replace(made, **fields)  # type: ignore[arg-type]


def starting(index: int, *, version: str = "new", **fields: object) -> Pod:
    made = pod(index, version=version, state=PodState.STARTING, report=None)
    return replace(made, **fields)  # type: ignore[arg-type]


def draining(index: int, slots: int = 0, *, version: str = "old") -> Pod:
    report = Report(NOW, sessions=slots, slots=slots, obeys=ASKED)
    return pod(index, version=version, state=PodState.DRAINING, drain_asked=ASKED, report=report)


def decided(
    pods: Sequence[Pod],
    *,
    least: int = 0,
    surge: Amount = Percent(25),
    idle: Amount = Percent(25),
    policy: Policy = POLICY,
    room: Room | None = None,
    hands_over: bool = False,
) -> Decision:
    pool = replace(POOL, least=least, update=UpdateStrategy(surge, idle), hands_over=hands_over)
    inputs = Inputs(NOW, tuple(pods), room=room or Room())
    return decide(pool, policy, inputs, Memory(wanted=least, past=LONG_AGO)).decision


def test_new_pods_are_started_before_an_old_one_goes() -> None:
    actions = decided([pod(n) for n in range(8)], least=8).actions

    assert (actions.start, actions.drain) == ((8, 9), ())


def test_as_many_old_ones_drain_as_new_ones_serve_idle_ones_first() -> None:
    old = [pod(0, 1), pod(1, 2), pod(2), pod(3), pod(4), pod(5), pod(6, 1), pod(7)]
    new = [pod(8, version="new"), starting(9)]

    assert len(decided([*old, *new], least=8).actions.drain) == 1
    served = [pod(8, version="new"), pod(9, version="new")]
    assert set(decided([*old, *served], least=8).actions.drain) <= {"u2", "u3", "u4", "u5", "u7"}


def test_pods_with_work_are_asked_to_finish_when_no_idle_one_is_left() -> None:
    old = [pod(0, 2), pod(1, 1), pod(2, 2)]
    new = [pod(3, version="new")]

    assert decided([*old, *new], least=3).actions.drain == ("u1",)


def test_jobs_that_finish_do_not_hold_up_the_update_nor_buy_a_second_cluster() -> None:
    finishing = [draining(n, 2) for n in range(6)]
    standing = [pod(6, 2), pod(7, 2), pod(8, version="new"), pod(9, version="new")]

    # The load of four pods is asked for, and six finish beside it: one more may stand.
    more = decided([*finishing, *standing], least=4)

    assert len(more.actions.start) == 1
    assert decided([*finishing, *standing, starting(10)], least=4).actions.start == ()


def test_a_template_that_crashes_takes_no_old_pod_away_and_is_told() -> None:
    old = [pod(n) for n in range(4)]
    crashing = starting(4, healthy=False)

    decision = decided([*old, crashing], least=4)

    assert decision.rollout.halted
    assert (decision.actions.start, decision.actions.drain) == ((), ())


def test_jobs_that_never_end_are_handed_over_where_the_pool_wants_that() -> None:
    pool = replace(POOL, least=4, update=UpdateStrategy(Count(1), Count(1), hand_over=True))

    def acts(*pods: Pod) -> Actions:
        memory = Memory(wanted=4, past=LONG_AGO)
        return decide(pool, POLICY, Inputs(NOW, pods), memory).decision.actions

    old = [pod(0), *(pod(n, 2) for n in range(1, 4))]
    new = pod(4, version="new")
    assert acts(*old) == Actions(start=(4,))
    assert acts(*old, new) == Actions(drain=("u0",))
    later = [pod(n, 2) for n in range(1, 4)]
    assert acts(*later, new, pod(0, version="new")).drain == ("u1",)
    obeys = replace(draining(1, 2), drain_acked=ASKED)
    assert acts(obeys, *later[1:], new, pod(0, version="new")).hand_over == ("u1",)


def test_new_pods_that_have_a_node_and_never_serve_are_told_and_take_no_old_pod_away() -> None:
    waits = starting(4, created=NOW - TOO_LATE - S)

    decision = decided([*(pod(n) for n in range(4)), waits], least=4)

    assert decision.rollout.stuck == ("p-4",)
    assert (decision.actions.start, decision.actions.drain) == ((), ())


def test_a_single_pod_that_crashes_among_many_stops_nobody() -> None:
    old = [pod(n) for n in range(4)]
    new = [pod(4 + n, version="new") for n in range(4)]

    decision = decided([*old, *new, starting(8, healthy=False)], least=8)

    assert not decision.rollout.halted
    assert decision.actions.start == (9,)


def test_a_template_that_corrects_another_one_replaces_its_crashing_pods_at_once() -> None:
    old = [pod(n) for n in range(4)]
    crashing = starting(4, version="bad", healthy=False)
    waiting = starting(5, version="bad", node="")

    assert decided([*old, crashing, waiting], least=4).actions.drain == ("u4", "u5")


def test_old_pods_that_never_come_up_go_once_the_new_template_was_seen_to_serve() -> None:
    stuck = [starting(n, version="old") for n in range(3)]
    fresh = starting(3, version="old", created=NOW - S)

    before = decided([*stuck, fresh, starting(4)], least=4)
    after = decided([*stuck, fresh, pod(4, version="new")], least=4)

    assert before.actions.drain == ()
    assert after.actions.drain == ("u0", "u1", "u2")


def test_a_pod_that_drains_for_ever_without_work_does_not_hold_up_an_update() -> None:
    lingers = replace(draining(5), drain_asked=NOW - 2 * LINGERING)
    just_asked = draining(5)
    old = [pod(n) for n in range(4)]

    assert len(decided([*old, lingers], least=4).actions.start) == 1
    assert decided([*old, just_asked], least=4).actions.start == ()


def test_after_failed_starts_the_next_try_waits() -> None:
    backoff = Backoff().failed(NOW)

    decision = decided([pod(n) for n in range(4)], least=4, room=Room(backoff=backoff))

    assert decision.actions.start == ()


def test_while_a_new_template_is_distrusted_an_old_pod_is_taken_back() -> None:
    pods = [pod(0), starting(1, healthy=False), draining(2)]

    assert decided(pods, least=2).actions.undrain == ("u2",)


def test_without_surge_idle_pods_make_room_and_never_what_the_load_needs() -> None:
    pods = [pod(0, 2), pod(1), pod(2), pod(3)]

    assert len(decided(pods, least=4, surge=Count(0), idle=Count(2)).actions.drain) == 2
    busy = [pod(0, 2), pod(1, 2), pod(2, 2), pod(3)]
    assert decided(busy, least=4, surge=Count(0), idle=Count(2)).actions.drain == ("u3",)
    full = [pod(n, 2) for n in range(4)]
    assert decided(full, least=4, surge=Count(0), idle=Count(2)).actions.drain == ()


def test_where_no_node_takes_one_more_an_idle_pod_makes_room() -> None:
    pods = [pod(n) for n in range(4)]
    late = NOW - PENDING_TOO_LONG - S

    waits = decided([*pods, starting(4, node="", created=NOW - S)], least=4)
    stuck = decided([*pods, starting(4, node="", created=late)], least=4)

    assert waits.actions.drain == ()
    assert len(stuck.actions.drain) == 1


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, pause_in=True),
        replace(POLICY, pause_out=True),
        replace(POLICY, dry_run=True),
    ],
)
def test_a_paused_pool_does_not_update(policy: Policy) -> None:
    actions = decided([pod(n) for n in range(4)], least=4, policy=policy).actions

    assert (actions.start, actions.drain) == ((), ())


def test_nothing_is_replaced_while_the_load_is_not_known() -> None:
    silent = pod(0, report=Report(NOW - 60 * S))
    new = [pod(5 + n, version="new") for n in range(2)]

    decision = decided([silent, pod(1), pod(2), pod(3), *new], least=4)

    assert (decision.actions.start, decision.actions.drain) == ((), ())


def test_a_budget_that_lets_nobody_drain_holds_for_updates_too() -> None:
    policy = replace(POLICY, behavior=Behavior(budgets=(DisruptionBudget(Count(0)),)))
    new = [pod(4, version="new")]

    actions = decided([*(pod(n) for n in range(4)), *new], least=4, policy=policy).actions

    assert actions.drain == ()


@st.composite
def _mixed(draw: st.DrawFn) -> list[Pod]:
    found = []
    for index in range(draw(st.integers(0, 12))):
        version = draw(st.sampled_from(["old", "older", "new"]))
        slots = draw(st.integers(0, 2))
        kind = draw(st.sampled_from(["serving", "serving", "starting", "draining"]))
        if kind == "draining":
            found.append(draining(index, slots, version=version))
        elif kind == "starting":
            node = draw(st.sampled_from(["", "n"]))
            healthy = draw(st.booleans())
            found.append(starting(index, version=version, node=node, healthy=healthy))
        else:
            healthy = draw(st.sampled_from([True, True, True, False]))
            found.append(pod(index, slots, version=version, healthy=healthy))
    return found


amounts = st.one_of(st.builds(Count, st.integers(0, 4)), st.builds(Percent, st.integers(0, 100)))


@given(_mixed(), st.integers(0, 9), amounts, amounts, st.booleans())
def test_an_update_leaves_what_serves_at_the_wanted_number_or_what_the_load_needs(
    pods: list[Pod], least: int, surge: Amount, idle: Amount, hands_over: bool
) -> None:
    decision = decided(pods, least=least, surge=surge, idle=idle, hands_over=hands_over)

    if not decision.rollout.under_way:
        return
    by_uid = {p.uid: p for p in pods}
    serving = {p.uid for p in pods if p.healthy and p.state in ("ready", "allocated")}
    left = serving - set(decision.actions.drain)
    load = sum(p.report.slots for p in pods if p.uid in serving and p.report)
    strategy = UpdateStrategy(surge, idle)
    lost = serving - left
    if lost:
        assert all(by_uid[uid].version != "new" for uid in lost)
        fewest = decision.wanted
        blocked = strategy.surge(fewest) == 0
        idle_ones = strategy.idle(fewest)
        fewest -= idle_ones if blocked else min(idle_ones, decision.rollout.unplaced)
        assert len(left) >= fewest
        assert 2 * len(left) >= load
    for uid in decision.actions.delete:
        report = by_uid[uid].report
        assert report is None or report.idle


@given(_mixed(), st.integers(0, 9), amounts, amounts)
def test_what_stands_during_an_update_is_bounded(
    pods: list[Pod], least: int, surge: Amount, idle: Amount
) -> None:
    decision = decided(pods, least=least, surge=surge, idle=idle)

    healthy = sum(1 for p in pods if p.standing and p.healthy)
    if decision.rollout.under_way and healthy >= decision.wanted and decision.actions.start:
        most = decision.wanted + UpdateStrategy(surge, idle).surge(decision.wanted)
        finishing = sum(1 for p in pods if p.state is PodState.DRAINING and p.report)
        assert len(pods) + len(decision.actions.start) <= most + finishing
