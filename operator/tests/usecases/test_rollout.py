"""A new template in a pool at work: everything is replaced, nobody is cut, capacity stays."""

from random import Random

import pytest
from odeon_operator.domain.amounts import Count
from odeon_operator.domain.rollout import UpdateStrategy
from odeon_testkit.fleet import FleetAgent
from odeon_testkit.fleet_world import World

from .deaths import counting_kills

SLOTS = 2


async def test_all_pods_get_the_new_template_and_the_status_says_how_far_it_is(
    world: World,
) -> None:
    await world.settled(4)
    world.set_pool(least=4, version="v2")

    await world.rounds(8, until=lambda: world.status.counts.outdated > 0)
    assert world.condition("Progressing").reason == "Updating"
    await world.rounds(30, until=lambda: _versions(world) == {"v2"})
    await world.rounds(10)

    progressing = world.condition("Progressing")
    assert (progressing.holds, progressing.reason) == (False, "Updated")
    assert (world.status.counts.updated, world.status.counts.outdated) == (4, 0)
    assert len(world.api.pods) == 4


async def test_a_job_finishes_on_the_old_template_and_its_pod_goes_then(world: World) -> None:
    await world.settled(2)
    busy = next(iter(world.agents.values()))
    assert busy.claim()
    busy.arrive()
    world.set_pool(least=2, version="v2")

    await world.rounds(30)

    assert [p.uid for p in world.api.pods.values() if p.version == "v1"] == [busy.uid]
    assert world.condition("Progressing").reason == "OldPodsFinish"
    busy.sessions = 0
    await world.rounds(8, until=lambda: _versions(world) == {"v2"})


async def test_a_template_whose_pods_crash_stops_and_going_back_mends_it(world: World) -> None:
    await world.settled(4)
    before = set(world.api.pods)
    world.set_pool(least=4, version="bad")

    await _crashing(world, "bad", rounds=40)

    assert before <= set(world.api.pods)
    progressing = world.condition("Progressing")
    assert (progressing.holds, progressing.reason) == (False, "NewPodsFail")
    assert len(world.api.pods) == 5, "one stood beside the four, and no more came"

    world.set_pool(least=4, version="v1")
    await _crashing(world, "bad", rounds=6)

    assert set(world.api.pods) == before
    assert world.condition("Progressing").reason == "Updated"


async def test_a_corrected_template_is_not_made_to_wait_for_the_failures_of_the_bad_one(
    world: World,
) -> None:
    await world.settled(2)
    world.set_pool(least=2, version="bad")
    for _ in range(20):
        for uid, pod in list(world.api.pods.items()):
            if pod.version == "bad":
                world.api.change_pod(uid, finished=True, failed=True)
        await _look(world)
    world.set_pool(least=2, version="v3")

    await world.rounds(20, until=lambda: _versions(world) == {"v3"})


@pytest.mark.parametrize("seed", range(6))
async def test_updates_in_a_row_cut_no_session_and_keep_capacity_at_the_load(
    world: World, seed: int
) -> None:
    chance = Random(seed)
    killed = counting_kills(world)
    surge = chance.choice([0, 1, 3])
    strategy = UpdateStrategy(Count(surge), Count(chance.choice([1, 2])))
    await world.settled(6)
    world.set_policy(buffer=Count(1))
    update, rounds = 1, 0
    while update < 6:
        rounds += 1
        assert rounds < 3_000, "an update never ended"
        world.set_pool(least=6, version=f"v{update}", update=strategy)
        _live(world, chance)
        world.operator.sync()
        await world.operator.look(world.ref)
        serving = [u for u in world.api.pods if u in world.kv.reports and u not in world.kv.records]
        free = strategy.idle(6) if surge == 0 else 0
        assert len(serving) >= 6 - free
        if _versions(world) == {f"v{update}"}:
            update += 1

    assert killed == []


async def test_jobs_that_never_end_do_not_hold_up_an_update_that_hands_over(world: World) -> None:
    await world.settled(4)
    killed = counting_kills(world)
    for agent in list(world.agents.values())[:3]:
        assert agent.claim()
        agent.arrive()
    strategy = UpdateStrategy(Count(1), Count(1), hand_over=True)
    world.set_policy(buffer=Count(1))
    world.set_pool(least=4, version="v2", update=strategy)

    for _ in range(150):
        await world.rounds(1)
        _hand_over(world)
        assert len(world.api.pods) <= 4 + 2, "one beside the others, and one that just goes"
        if _versions(world) == {"v2"}:
            break

    assert _versions(world) == {"v2"}
    assert killed == []
    assert sum(world.agents[uid].sessions for uid in world.api.pods) == 3


def _hand_over(world: World) -> None:
    """What transcoders do that are told to, and room with what they give back."""
    for uid in list(world.api.pods):
        record, agent = world.kv.records.get(uid), world.agents.get(uid)
        if record is None or agent is None or not record.hand_over or not agent.obeys:
            continue
        for taker in (world.agents[u] for u in world.api.pods if u in world.agents):
            while agent.sessions and taker.takes_work and taker.sessions < SLOTS:
                agent.sessions, taker.sessions = agent.sessions - 1, taker.sessions + 1


def _versions(world: World) -> set[str]:
    return {p.version for p in world.api.pods.values()}


async def _look(world: World) -> None:
    world.clock.advance(1)
    world.operator.sync()
    await world.operator.look(world.ref)


async def _crashing(world: World, version: str, *, rounds: int) -> None:
    """Time in which pods of a version get a node, and their containers crash again and again."""
    for _ in range(rounds):
        world.clock.advance(1)
        world.api.schedule()
        for uid, pod in list(world.api.pods.items()):
            if pod.version == version and pod.healthy:
                world.api.change_pod(uid, healthy=False, inert=True)
            elif pod.version != version:
                agent = world.agents.setdefault(uid, FleetAgent(uid, world.kv, world.clock))
                agent.heed()
                agent.speak()
        world.operator.sync()
        await world.operator.look(world.ref)


def _live(world: World, chance: Random) -> None:
    """A second of claims, ends and reports."""
    world.clock.advance(1)
    world.api.schedule()
    for uid in list(world.api.pods):
        agent = world.agents.setdefault(uid, FleetAgent(uid, world.kv, world.clock))
        if agent.pulls and chance.random() < 0.6:
            agent.arrive()
        busy = sum(a.sessions + a.pulls for u, a in world.agents.items() if u in world.api.pods)
        if busy < 8 and agent.sessions + agent.pulls < SLOTS and chance.random() < 0.4:
            agent.claim()
        if agent.sessions and chance.random() < 0.05:
            agent.sessions -= 1
        if chance.random() < 0.8:
            agent.heed()
        agent.speak()
