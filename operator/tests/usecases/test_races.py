"""Everything that can happen between a look, a decision and its effects: nothing live is cut.

Pictures are late, claims are on their way, containers restart and forget, operators die between any
two steps and come in pairs. Seeds make it repeatable.
"""

from random import Random

import pytest
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.sight import PodFacts
from odeon_operator.usecases.sweep import Sweeper
from odeon_testkit.fleet import FleetAgent
from odeon_testkit.fleet_world import World

from .deaths import Killed, counting_kills, die_at

SCALE_INS = 60


async def _draining(world: World, *, spare: int = 1) -> list[str]:
    """Drain `spare` of three pods; none has acknowledged yet."""
    await world.settled(3)
    world.set_pool(least=3 - spare)
    await world.rounds(1)
    assert len(world.kv.records) == spare
    return list(world.kv.records)


async def test_a_claim_between_the_decision_and_the_deletion_keeps_the_pod(world: World) -> None:
    """A rival takes the pod back and it gets work while the deletion is on its way."""
    (uid,) = await _draining(world)
    rival = world.start("rival")

    def taken_back(pod: PodFacts) -> None:
        world.api.before_delete = lambda _pod: None
        world.api.change_pod(pod.uid, marked=PodState.READY)
        del world.kv.records[pod.uid]
        world.kv.markers.add(pod.uid)
        world.agents[pod.uid].heed()
        assert world.agents[pod.uid].claim()

    world.api.before_delete = taken_back
    await world.rounds(4)

    assert uid in world.api.pods
    assert rival.lease.held


async def test_a_record_that_is_gone_stops_a_deletion_that_a_late_picture_asks_for(
    world: World,
) -> None:
    (uid,) = await _draining(world)
    for _ in range(3):
        world.live()
        world.operator.sync()
    del world.kv.records[uid]

    await world.operator.look(world.ref)

    assert uid in world.api.pods


async def test_reports_from_before_the_drain_prove_nothing_however_many_come(world: World) -> None:
    (uid,) = await _draining(world)
    for _ in range(9):
        world.clock.advance(1)
        world.agents[uid].speak()
        world.operator.sync()
        await world.operator.look(world.ref)

    assert uid in world.api.pods


async def test_a_report_that_came_long_ago_deletes_nothing(world: World) -> None:
    (uid,) = await _draining(world)
    for _ in range(2):
        world.live()
        world.operator.sync()
    world.clock.advance(60)

    await world.operator.look(world.ref)

    assert uid in world.api.pods


async def test_a_container_that_restarts_must_prove_itself_empty_anew(world: World) -> None:
    (uid,) = await _draining(world)
    world.live()
    world.operator.sync()
    world.agents[uid].restart()
    for pod in world.api.pods:
        world.agents[pod].heed()
        world.agents[pod].speak()
    world.operator.sync()

    await world.operator.look(world.ref)
    assert uid in world.api.pods

    await world.rounds(3)
    assert uid not in world.api.pods


async def test_an_operator_that_forgot_everything_goes_on_with_a_drain(world: World) -> None:
    (uid,) = await _draining(world)
    asked = world.kv.records[uid]
    world.operator = world.start("operator-2")

    # It looks back a whole window of its own before anything more may go.
    await world.rounds(6)

    assert [p.uid for p in world.api.deleted] == [uid]
    assert asked.asked < world.clock.now()
    assert len(world.api.pods) == 2


async def test_an_operator_that_starts_while_nats_is_away_drains_nobody(world: World) -> None:
    await world.settled(3)
    for agent in world.agents.values():
        agent.claim()
        agent.arrive()
    await world.rounds(2)
    world.set_pool(least=0)
    world.kv.away = True
    world.operator = world.start("operator-2")

    await world.rounds(40)
    world.kv.away = False
    world.operator.reports.sync()
    await world.operator.look(world.ref)

    assert world.kv.records == {}
    assert len(world.api.pods) == 3


async def test_reports_that_are_lost_with_nats_make_pods_silent_and_not_new(world: World) -> None:
    await world.settled(3)
    world.set_pool(least=0)
    world.kv.reports.clear()
    world.operator = world.start("operator-2")
    assert world.operator.reports.current

    world.clock.advance(1)
    await world.operator.look(world.ref)

    assert world.kv.records == {}
    assert world.condition("MetricsAvailable").reason == "NothingHeard"


async def test_a_drain_that_died_before_its_label_is_labelled_before_anything_is_deleted(
    world: World,
) -> None:
    (uid,) = await _draining(world)
    name = world.api.change_pod(uid, marked=PodState.READY).name
    for _ in range(3):
        world.live()
        world.operator.sync()

    await world.operator.look(world.ref)
    assert uid in world.api.pods

    await world.operator.look(world.ref)
    written = [w for w in world.api.writes if w[0] != "status"]
    assert written[-2:] == [("mark", name), ("delete", name)]


async def test_while_nats_is_away_the_number_is_held_and_said_to_be(world: World) -> None:
    await world.settled(3)
    world.kv.away = True
    world.set_pool(least=1)

    await world.rounds(60)

    assert len(world.api.pods) == 3
    metrics = world.condition("MetricsAvailable")
    assert (metrics.holds, metrics.reason) == (False, "NothingHeard")


async def test_a_drain_whose_record_was_not_stored_is_not_taken_for_one(world: World) -> None:
    await world.settled(2)
    world.set_pool(least=1)
    world.live()
    world.operator.sync()
    world.kv.away = True
    world.operator.reports.unaware = True

    await world.operator.look(world.ref)

    assert {p.marked for p in world.api.pods.values()} == {PodState.READY}


async def test_a_pod_that_obeys_a_drain_of_which_the_record_is_lost_is_released(
    world: World,
) -> None:
    (uid,) = await _draining(world)
    world.live()
    world.set_pool(least=3)
    world.kv.records.clear()
    assert not world.agents[uid].takes_work

    await world.rounds(5)

    assert world.agents[uid].takes_work
    assert world.api.pods[uid].marked == "ready"


async def test_a_taking_back_that_died_between_its_steps_is_finished(world: World) -> None:
    (uid,) = await _draining(world)
    world.live()
    world.set_pool(least=3)
    world.operator.sync()
    world.kv.away = True
    world.operator.reports.unaware = True
    await world.operator.look(world.ref)
    assert (world.api.pods[uid].marked, uid in world.kv.records) == (PodState.READY, True)
    world.kv.away = False

    world.operator = world.start("operator-2")
    await world.rounds(4)

    assert uid not in world.kv.records
    assert world.agents[uid].takes_work


async def test_records_of_pods_that_are_gone_are_swept_and_no_others(world: World) -> None:
    (uid,) = await _draining(world)
    await world.rounds(6, until=lambda: uid not in world.api.pods)
    sweeper = Sweeper(
        world.operator.cluster, world.operator.reports, world.operator.lease, others=frozenset
    )
    world.operator.sync()

    assert [await sweeper.sweep(), await sweeper.sweep(), await sweeper.sweep()] == [0, 1, 0]
    assert world.kv.records == {}


@pytest.mark.parametrize("seed", range(3))
async def test_no_session_is_cut_by_two_operators_who_both_act_and_see_late(
    world: World, seed: int
) -> None:
    chance = Random(seed)
    world.set_pool(least=0)
    killed = counting_kills(world)
    operators = [world.operator, world.start("operator-2")]
    ticks = 0
    while len(world.api.deleted) < SCALE_INS:
        ticks += 1
        assert ticks < 30_000, "scale-ins ceased"
        _live(world, chance, busy=ticks // 20 % 2 == 0)
        for one in operators:
            if chance.random() < 0.7:
                one.reports.sync()
            if chance.random() < 0.7:
                one.cluster.sync()
            if chance.random() < 0.8:
                await one.look(world.ref)
        if chance.random() < 0.01:
            operators[chance.randrange(2)] = world.start(f"operator-{ticks}")

    assert killed == []
    names = [p.name for p in world.api.pods.values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("seed", range(4))
async def test_an_operator_killed_between_any_two_writes_leaves_no_double_and_cuts_nothing(
    world: World, seed: int
) -> None:
    chance = Random(100 + seed)
    killed = counting_kills(world)
    deaths = 0
    for tick in range(600):
        _live(world, chance, busy=tick // 20 % 2 == 0)
        world.operator.sync()
        die_at(world, chance.randrange(1, 30))
        try:
            await world.operator.look(world.ref)
        except* Killed:
            deaths += 1
            world.operator = world.start(f"operator-{tick}")
    die_at(world, 0)

    assert deaths >= 10
    assert killed == []
    for agent in world.agents.values():
        agent.sessions = agent.pulls = 0
    await world.rounds(40)
    assert len(world.api.pods) == 1
    assert world.kv.records.keys() <= {p.uid for p in world.api.deleted}


def _live(world: World, chance: Random, *, busy: bool) -> None:
    """A second of claims, ends, restarts and reports; agents hear of records when they do."""
    world.clock.advance(1)
    world.api.schedule()
    for uid in list(world.api.pods):
        agent = world.agents.setdefault(uid, FleetAgent(uid, world.kv, world.clock))
        if agent.pulls and chance.random() < 0.6:
            agent.arrive()
        if busy and agent.sessions + agent.pulls < 2 and chance.random() < 0.5:
            agent.claim()
        if agent.sessions and chance.random() < (0.05 if busy else 0.5):
            agent.sessions -= 1
        if chance.random() < 0.01:
            agent.restart()
        if chance.random() < 0.4:
            agent.heed()
        if chance.random() < 0.9:
            agent.speak()
