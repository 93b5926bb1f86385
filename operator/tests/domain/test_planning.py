"""What must hold for every decision, whatever pods, load, bookings and policy are."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from math import ceil
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from odeon_operator.domain.amounts import Count, Percent
from odeon_operator.domain.behavior import Behavior, Direction, Past, Rate, Recommendation
from odeon_operator.domain.bookings import Booking, EventsPolicy, Phase
from odeon_operator.domain.decision import Decision, Inputs, Memory, Plan, explain
from odeon_operator.domain.demand import Certainty, Target
from odeon_operator.domain.fair_share import Tenant
from odeon_operator.domain.fallback import Fallback, FallbackBehavior
from odeon_operator.domain.limits import Budget, Limit
from odeon_operator.domain.planning import decide
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.policy import Policy, Pool, ScalingMode
from odeon_operator.domain.prediction import PastEvent, Predictive, PredictiveMode
from odeon_operator.domain.reports import Metric, Report
from odeon_operator.domain.rules import Rule
from odeon_operator.domain.starts import Backoff, Room
from odeon_operator.domain.windows import ActivePeriod, Between

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
SLOTS = Metric.ACTIVE_TRANSCODES
POOL = Pool("main", 0, 100, (Target(SLOTS, Fraction(2)),))
POLICY = Policy()
IDLE_LONG = Past((Recommendation(NOW - 299 * S, Fraction(0), 0),))
"""A past in which nothing was needed for the whole stabilisation window."""


def pod(index: int, slots: int = 0, *, age: int = 0, state: PodState | None = None) -> Pod:
    working = PodState.ALLOCATED if slots else PodState.READY
    report = Report(NOW - age * S, sessions=slots, slots=slots)
    stands = state if state is not None else working
    return Pod(f"p-{index}", f"u{index}", index, stands, NOW - 900 * S, node="n", report=report)


def drained(index: int, slots: int, *, before: int = 0) -> Pod:
    """A pod that obeys its drain; the reading before the last had `before` sessions."""
    asked = NOW - 9 * S
    return replace(
        pod(index),
        state=PodState.DRAINING,
        report=Report(NOW, sessions=slots, slots=slots, obeys=asked),
        earlier=Report(NOW - S, sessions=before, obeys=asked),
        drain_asked=asked,
        drain_acked=asked,
    )


def pods(loads: Sequence[int]) -> tuple[Pod, ...]:
    return tuple(pod(n, slots) for n, slots in enumerate(loads))


def plan(
    inputs: Inputs | None = None,
    *,
    pool: Pool = POOL,
    policy: Policy = POLICY,
    wanted: int | None = None,
    past: Past = IDLE_LONG,
) -> Decision:
    memory = Memory(wanted=wanted, past=past)
    return decide(pool, policy, inputs or Inputs(NOW), memory).decision


def _most(pool: Pool, policy: Policy) -> int:
    capped = policy.budget.max_replicas
    return pool.most if capped is None else min(pool.most, capped)


loads = st.lists(st.integers(0, 2), max_size=8)
policies = st.builds(
    Policy,
    buffer=st.one_of(st.builds(Count, st.integers(0, 4)), st.builds(Percent, st.integers(0, 60))),
    rules=st.lists(
        st.builds(
            Rule,
            st.sampled_from(["a", "b"]),
            st.sampled_from([Between(None, None), Between(None, NOW)]),
            min=st.one_of(st.none(), st.integers(0, 9)),
            max=st.one_of(st.none(), st.integers(0, 9)),
            replicas=st.one_of(st.none(), st.integers(0, 9)),
        ),
        max_size=2,
        unique_by=lambda r: r.id,
    ).map(tuple),
    budget=st.builds(
        Budget,
        max_replicas=st.one_of(st.none(), st.integers(0, 12)),
        max_gpu_hours_per_day=st.sampled_from([None, 10.0]),
    ),
    pause_in=st.booleans(),
    pause_out=st.booleans(),
    dry_run=st.booleans(),
)
bounded = st.tuples(st.integers(0, 6), st.integers(0, 12)).map(
    lambda b: replace(POOL, least=b[0], most=b[0] + b[1])
)


@given(bounded, policies, loads, st.integers(0, 20), st.sampled_from([None, 3.0, 11.0]))
def test_wanted_stays_within_bounds_and_budget(
    pool: Pool, policy: Policy, load: list[int], wanted: int, gpu_hours: float | None
) -> None:
    inputs = Inputs(NOW, pods(load), gpu_hours_today=gpu_hours)

    got = plan(inputs, pool=pool, policy=policy, wanted=wanted).wanted

    most = _most(pool, policy)
    if policy.budget.max_gpu_hours_per_day is not None and (gpu_hours or 0) > 10:
        most = min(most, wanted)
    assert min(pool.least, most) <= got <= most


@given(policies, loads, st.integers(0, 7), st.integers(0, 20), st.integers(0, 9))
def test_more_load_never_lowers_what_is_wanted(
    policy: Policy, load: list[int], more_on: int, wanted: int, waiting: int
) -> None:
    heavier = [slots + (n == more_on) for n, slots in enumerate(load)]

    def of(slots: list[int], queue: int) -> int:
        inputs = Inputs(NOW, pods(slots), tenants=(Tenant("t", waiting=Fraction(queue)),))
        return plan(inputs, policy=policy, wanted=wanted).wanted

    assert of(load, waiting) <= of(heavier, waiting) <= of(heavier, waiting + 3)


@given(policies, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=8), loads)
def test_no_decision_touches_live_work(
    policy: Policy, serving: list[tuple[int, int]], draining: list[int]
) -> None:
    standing = [pod(n, slots, age=age) for n, (slots, age) in enumerate(serving)]
    leaving = [drained(50 + n, slots, before=slots % 2) for n, slots in enumerate(draining)]
    every = (*standing, *leaving)

    actions = plan(Inputs(NOW, every), policy=policy, wanted=len(standing)).actions

    by_uid = {p.uid: p for p in every}
    for uid in (*actions.drain, *actions.delete):
        report = by_uid[uid].report
        assert report is not None and report.idle
    assert all(by_uid[uid].state is PodState.DRAINING for uid in actions.delete)
    assert set(actions.undrain).isdisjoint(actions.delete)


@given(
    policies,
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0, 16, 99])), min_size=1, max_size=8),
    st.integers(0, 20),
    st.booleans(),
    st.sampled_from(list(FallbackBehavior)),
    st.integers(0, 3),
)
def test_what_is_unknown_never_scales_in(
    policy: Policy,
    aged: list[tuple[int, int]],
    wanted: int,
    queue_known: bool,
    behavior: FallbackBehavior,
    replicas: int,
) -> None:
    policy = replace(policy, fallback=Fallback(0 * S, behavior, replicas))
    every = tuple(pod(n, slots, age=age) for n, (slots, age) in enumerate(aged))
    inputs = Inputs(NOW, every, queue_known=queue_known)

    got = plan(inputs, policy=policy, wanted=wanted)

    if got.load.certainty is not Certainty.KNOWN:
        held = wanted if behavior is not FallbackBehavior.STATIC else min(wanted, len(every))
        assert got.actions.drain == ()
        assert got.wanted >= min(_most(POOL, policy), held)


def test_a_quiet_pod_does_not_keep_the_known_load_from_starting_pods() -> None:
    every = (*pods([2, 2, 2]), pod(9, 0, age=60))

    got = plan(Inputs(NOW, every, tenants=(Tenant("t", waiting=Fraction(8)),)), wanted=4)

    assert (got.wanted, len(got.actions.start)) == (8, 4)


def test_a_quiet_pod_holds_the_number_and_the_decision_says_so() -> None:
    got = plan(Inputs(NOW, (*pods([0, 0, 0]), pod(9, 0, age=60))), wanted=4)

    assert (got.wanted, got.rule, got.load.silent) == (4, "hold", ("p-9",))
    assert "not heard of p-9. None may go." in "\n".join(explain(got))


def test_when_readings_return_a_whole_window_passes_before_anything_leaves() -> None:
    memory = Memory(wanted=8, past=IDLE_LONG)
    dark = decide(POOL, POLICY, Inputs(NOW, (pod(0, 1, age=60),)), memory)

    def at(second: int) -> int:
        later = replace(pod(0, 1), report=Report(NOW + second * S, sessions=1, slots=1))
        return decide(POOL, POLICY, Inputs(NOW + second * S, (later,)), dark.memory).decision.wanted

    assert (dark.decision.wanted, dark.decision.rule) == (8, "hold")
    assert at(299) == 8
    assert at(300) == 2


def swing(
    mean: float, noise: Iterable[int], *, ticks_s: int, start: int
) -> list[tuple[datetime, int]]:
    """Run a pool under a load that swings by up to 10 % and list its changes."""
    memory, now, changes = Memory(wanted=start), NOW, []
    pool = Pool("edges", 0, 1000, (Target(Metric.VIEWERS, Fraction(10)),), hands_over=True)
    for percent in noise:
        viewers = round(mean * (100 + percent) / 100)
        serving = replace(pod(0), report=Report(now, sessions=viewers, viewers=viewers))
        done = decide(pool, POLICY, Inputs(now, (serving,)), memory)
        if done.decision.wanted != done.decision.previous:
            changes.append((now, done.decision.wanted - done.decision.previous))
        memory, now = done.memory, now + ticks_s * S
    return changes


@settings(max_examples=40)
@given(
    st.integers(5, 4000),
    st.lists(st.integers(-10, 10), min_size=50, max_size=90),
    st.sampled_from([15, 30, 60]),
    st.integers(0, 500),
)
def test_noise_of_ten_percent_changes_direction_once_in_a_window_at_most(
    mean: int, noise: list[int], ticks_s: int, start: int
) -> None:
    changes = swing(mean, noise, ticks_s=ticks_s, start=start)

    turns = [b for (_, a), (b, c) in pairwise(changes) if (a > 0) != (c > 0)]
    gaps = [b - a for a, b in pairwise(turns)]
    assert all(gap >= POLICY.behavior.scale_in.window for gap in gaps)


@given(
    st.integers(1, 30),
    st.integers(0, 12),
    st.integers(0, 5400),
    st.integers(0, 20),
    st.sampled_from([None, 600]),
)
def test_booked_capacity_is_wanted_from_the_lead_to_the_end(
    booked: int, load: int, second: int, wanted: int, ramp: int | None
) -> None:
    lead, length = 240 * S, 3600 * S
    slow = Direction(window=900 * S, tolerance=Fraction(1, 2))
    policy = replace(
        POLICY,
        events=EventsPolicy(lead=lead, ramp=(ramp or 0) * S, hold_after_end=1800 * S),
        behavior=Behavior(scale_out=slow),
    )
    start = NOW + lead - second * S
    event = Booking("gala", "acme", start, start + length, {SLOTS: Fraction(booked)})
    others = pods([1] * load)

    got = plan(Inputs(NOW, others, bookings=(event,)), policy=policy, wanted=wanted)

    assert got.wanted >= ceil(Fraction(booked + load, 2))


def test_a_booking_is_prewarmed_and_ready_when_its_pods_are() -> None:
    event = Booking("gala", "acme", NOW + 60 * S, NOW + 999 * S, {SLOTS: Fraction(6)})

    cold = plan(Inputs(NOW, bookings=(event,)))
    warm = plan(Inputs(NOW, pods([0, 0, 0]), bookings=(event,)))

    assert (cold.wanted, cold.phases) == (4, (("gala", Phase.PREWARMING),))
    assert warm.phases == (("gala", Phase.READY),)


@settings(max_examples=40)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 60), st.integers(0, 60))
def test_where_windows_meet_nothing_dips(first: int, second: int, one: int, two: int) -> None:
    rules = (
        Rule("first", Between(NOW, NOW + first * S), replicas=one),
        Rule("second", Between(NOW + first * S, NOW + (first + second) * S), replicas=two),
    )
    eager = Behavior(scale_in=Direction())
    policy = replace(POLICY, buffer=Count(0), rules=rules, behavior=eager)
    memory = Memory()
    for at in range(first + second):
        done = decide(POOL, policy, Inputs(NOW + at * S), memory)
        memory = done.memory
        assert done.decision.wanted == (one if at < first else two)


@settings(max_examples=30)
@given(st.integers(0, 45), st.integers(0, 47), st.integers(0, 3599))
def test_a_cron_target_is_exact_while_the_load_is_below(load: int, wanted: int, at: int) -> None:
    rule = Rule("day", ActivePeriod("0 20 * * *", 3600 * S, ZoneInfo("Asia/Shanghai")), replicas=45)
    now = NOW + at * S
    policy = replace(POLICY, rules=(rule,), buffer=Count(0))
    steady = Past((Recommendation(now - 299 * S, Fraction(0), 45),))
    held = replace(pod(0), report=Report(now, sessions=load, slots=load))

    got = plan(Inputs(now, (held,)), policy=policy, wanted=wanted, past=steady)

    assert (got.wanted, got.rule) == (45, "day")


def test_capacity_that_is_short_is_shared_by_weight_and_the_decision_says_so() -> None:
    pool = replace(POOL, most=6)
    tenants = (
        Tenant("big", weight=2, live=Fraction(2), waiting=Fraction(20)),
        Tenant("capped", quota=3, live=Fraction(1), waiting=Fraction(5)),
        Tenant("small", waiting=Fraction(20)),
    )

    got = plan(Inputs(NOW, pods([2, 1]), tenants=tenants), pool=pool)

    assert got.wanted == 6
    assert dict(got.shares) == {"big": 6, "capped": 3, "small": 3}
    assert Limit("capped", "quota", 5, 2) in got.limits
    assert any(x.who == "main" and x.by == "maxReplicas" and x.granted == 6 for x in got.limits)


def test_work_beyond_a_quota_starts_no_pods() -> None:
    tenants = (Tenant("t", quota=2, live=Fraction(2), waiting=Fraction(50)),)

    assert plan(Inputs(NOW, pods([2]), tenants=tenants)).wanted == 2


@given(loads, st.integers(0, 20), st.booleans(), st.booleans())
def test_a_pause_holds_its_direction_and_only_that(
    load: list[int], wanted: int, pause_in: bool, pause_out: bool
) -> None:
    free = plan(Inputs(NOW, pods(load)), wanted=wanted)
    policy = replace(POLICY, pause_in=pause_in, pause_out=pause_out)

    got = plan(Inputs(NOW, pods(load)), policy=policy, wanted=wanted)

    if free.wanted > wanted:
        assert got.wanted == (wanted if pause_out else free.wanted)
    else:
        assert got.wanted == (wanted if pause_in else free.wanted)
    assert not (pause_in and (got.actions.drain or got.actions.delete))


def test_a_pause_starts_nothing_even_where_the_minimum_was_raised_above_what_stands() -> None:
    pool, policy = replace(POOL, least=5), replace(POLICY, pause_out=True)

    got = plan(Inputs(NOW, pods([0, 0])), pool=pool, policy=policy, wanted=2)

    assert (got.wanted, got.rule, got.actions.start) == (5, "minReplicas", ())


def test_rates_count_what_was_decided_before() -> None:
    slow = Behavior(scale_out=Direction(rates=(Rate(Count(2), 60 * S),)))
    policy, memory, wanted = replace(POLICY, behavior=slow), Memory(wanted=1), []

    for second in (0, 30, 60):
        now = NOW + second * S
        busy = tuple(replace(p, report=Report(now, sessions=2, slots=2)) for p in pods([2] * 9))
        done = decide(POOL, policy, Inputs(now, busy), memory)
        memory = done.memory
        wanted.append(done.decision.wanted)

    assert wanted == [3, 3, 5]


@given(policies, loads, st.integers(0, 20))
def test_a_dry_run_decides_the_same_and_touches_nothing(
    policy: Policy, load: list[int], wanted: int
) -> None:
    memory = Memory(wanted=wanted, past=IDLE_LONG)

    def run(dry: bool) -> Plan:
        return decide(POOL, replace(policy, dry_run=dry), Inputs(NOW, pods(load)), memory)

    wet, dry = run(False), run(True)

    assert dry.decision.wanted == wet.decision.wanted
    assert dry.decision.actions == type(dry.decision.actions)()
    assert (dry.memory.wanted, dry.memory.past.changes) == (wanted, ())


def test_draining_pods_are_taken_back_before_new_ones_are_started() -> None:
    busy, calm = (*pods([2, 2]), drained(7, 0)), (*pods([0, 0]), drained(7, 0))

    missed = plan(Inputs(NOW, busy), wanted=2).actions
    spare = plan(Inputs(NOW, calm), wanted=2).actions

    assert (missed.undrain, missed.start, missed.delete) == (("u7",), (), ())
    assert (spare.undrain, spare.start, spare.delete) == ((), (), ("u7",))


def test_a_template_that_always_crashes_does_not_fill_the_cluster() -> None:
    every: list[Pod] = []
    for _ in range(50):
        got = plan(Inputs(NOW, tuple(every)), wanted=8, policy=replace(POLICY, buffer=Count(8)))
        sick = [replace(pod(n), healthy=False) for n in got.actions.start]
        every += sick

    assert len(every) == 10


def test_gpus_that_cannot_be_allocated_limit_the_start_and_the_decision_says_so() -> None:
    pool = replace(POOL, gpus_per_pod=1)
    room = Room(free=3, backoff=Backoff().failed(NOW))

    policy = replace(POLICY, buffer=Count(10))

    got = plan(Inputs(NOW, pods([2] * 5), room=room), pool=pool, policy=policy)

    assert (got.wanted, len(got.actions.start)) == (15, 3)
    assert Limit("main", "allocatable GPUs", 10, 3) in got.limits


def test_a_prediction_advises_or_acts() -> None:
    event = Booking("gala", "acme", NOW + 600 * S, NOW + 9999 * S, {}, registrations=100)
    history = (PastEvent(100, 20.0),)

    def got(mode: PredictiveMode, boost: int = 100) -> tuple[int, int | None]:
        predictive = Predictive(mode, horizon=900 * S, max_boost=boost)
        policy = replace(POLICY, predictive=predictive)
        inputs = Inputs(NOW, pods([2] * 9), bookings=(event,), past_events=history)
        decision = plan(inputs, policy=policy)
        return decision.wanted, decision.predicted

    assert got(PredictiveMode.OFF) == (10, None)
    assert got(PredictiveMode.ADVISE) == (10, 20)
    assert got(PredictiveMode.ACT) == (20, 20)
    assert got(PredictiveMode.ACT, boost=50) == (15, 20)


@pytest.mark.parametrize("mode", [ScalingMode.MANUAL, ScalingMode.EXTERNAL])
def test_a_number_set_by_hand_is_followed_without_touching_live_work(mode: ScalingMode) -> None:
    pool = replace(POOL, mode=mode, replicas=1)

    got = plan(Inputs(NOW, pods([2, 0, 2])), pool=pool)

    assert (got.wanted, got.rule, got.actions.drain) == (1, "replicas", ("u1",))


def test_a_pool_of_two_metrics_follows_the_one_that_needs_more() -> None:
    targets = (Target(Metric.VIEWERS, Fraction(1000)), Target(Metric.EGRESS_MBPS, Fraction(100)))
    pool = Pool("edges", 0, 50, targets, hands_over=True)
    edge = replace(pod(0), report=Report(NOW, sessions=10, viewers=10, egress_mbps=950.0))

    assert plan(Inputs(NOW, (edge,)), pool=pool).wanted == 11


def test_a_restart_begins_with_what_stands_and_a_whole_window() -> None:
    got = decide(POOL, POLICY, Inputs(NOW, pods([0] * 6)), Memory()).decision

    assert (got.wanted, got.held_by) == (6, ("scaleIn.stabilizationWindowSeconds",))


def test_a_decision_explains_itself_in_sentences() -> None:
    policy = replace(POLICY, rules=(Rule("evening", Between(None, None), min=7),), dry_run=True)

    text = "\n".join(explain(plan(Inputs(NOW, pods([2])), policy=policy)))

    assert text.startswith("main wants 7 pods (before: 1, standing: 1), decided by evening.")
    assert "Dry run" in text
    assert "Rule evening asks for 7: buffer 1, at least 7." in text
