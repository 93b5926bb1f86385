"""A node goes away under a pool at work."""

from random import Random

import pytest
from odeon_operator.domain.nodes import Notice
from odeon_operator.domain.rollout import UpdateStrategy
from odeon_testkit.fleet import FleetAgent
from odeon_testkit.fleet_world import World

from .deaths import Killed, counting_kills, die_at

CORDON = Notice("node-1 is cordoned")
SPOT = Notice("node-2 goes away (spot)", soon=True)


async def test_a_cordoned_pod_is_replaced_hands_over_its_jobs_and_goes(world: World) -> None:
    await world.settled(1)
    (old,) = world.api.pods
    assert world.agents[old].claim()
    world.agents[old].arrive()
    await world.rounds(6)

    world.api.change_pod(old, notice=CORDON)
    seen: list[tuple[bool, bool, int]] = []
    for _ in range(30):
        await world.rounds(1)
        record = world.kv.records.get(old)
        others = sum(1 for p in world.serving() if p.uid != old)
        if record is not None and old in world.api.pods:
            seen.append((record.hand_over, record.reason == "NODE_DRAIN", others))
        if record is not None and record.hand_over and world.agents[old].sessions:
            # What a transcoder does, and what room and another one do then.
            world.agents[old].sessions = 0
            taker = next(a for u, a in world.agents.items() if u != old and a.takes_work)
            taker.sessions += 1

    assert old not in world.api.pods
    assert seen[0] == (False, True, seen[0][2])
    assert seen[0][2] >= 1, "replaced before it drained"
    assert seen[-1][0], "its job was handed over"
    assert sum(a.sessions for u, a in world.agents.items() if u in world.api.pods) == 1


async def test_a_node_that_is_uncordoned_in_time_keeps_its_pods(world: World) -> None:
    await world.settled(2)
    for uid in world.api.pods:
        world.api.change_pod(uid, notice=CORDON)
    await world.rounds(1)
    for uid in list(world.api.pods):
        world.api.change_pod(uid, notice=None)

    await world.rounds(20)

    assert len(world.serving()) == 2
    assert world.kv.records.keys() <= {p.uid for p in world.api.deleted}


@pytest.mark.parametrize("seed", range(4))
async def test_updates_and_cordons_cut_nothing_though_the_operator_dies_between_any_two_writes(
    world: World, seed: int
) -> None:
    chance = Random(seed)
    killed = counting_kills(world)
    await world.settled(5)
    deaths = moved = 0
    for tick in range(700):
        if tick % 90 == 0:
            strategy = UpdateStrategy(hand_over=seed % 2 == 1)
            world.set_pool(least=4, version=f"v{tick // 90}", update=strategy)
        moved += _live(world, chance)
        world.operator.sync()
        die_at(world, chance.randrange(1, 40))
        try:
            await world.operator.look(world.ref)
        except* Killed:
            deaths += 1
            world.operator = world.start(f"operator-{tick}")
    die_at(world, 0)

    assert killed == []
    assert deaths >= 10
    assert moved >= 5
    names = [p.name for p in world.api.pods.values()]
    assert len(names) == len(set(names))
    for agent in world.agents.values():
        agent.sessions = agent.pulls = 0
    await world.rounds(60)
    assert len(world.api.pods) == 4
    assert {p.version for p in world.api.pods.values()} == {"v7"}


def _live(world: World, chance: Random) -> int:
    """A second of claims, ends, cordons and reports; returns how many jobs were handed over."""
    world.clock.advance(1)
    world.api.schedule()
    moved = 0
    for uid in list(world.api.pods):
        agent = world.agents.setdefault(uid, FleetAgent(uid, world.kv, world.clock))
        if chance.random() < 0.004:
            world.api.change_pod(uid, notice=chance.choice([CORDON, SPOT]))
        if agent.pulls and chance.random() < 0.6:
            agent.arrive()
        if agent.sessions + agent.pulls < 2 and chance.random() < 0.1:
            agent.claim()
        if agent.sessions and chance.random() < 0.05:
            agent.sessions -= 1
        if chance.random() < 0.6:
            agent.heed()
        record = world.kv.records.get(uid)
        if record is not None and record.hand_over and agent.obeys and agent.sessions:
            # It gives its jobs back; whoever has room claims them, if room finds one.
            moved, agent.sessions = moved + agent.sessions, 0
        if chance.random() < 0.9:
            agent.speak()
    return moved
