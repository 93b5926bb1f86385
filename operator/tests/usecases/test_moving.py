"""A node goes away under a pool at work."""

from odeon_operator.domain.nodes import Notice
from odeon_testkit.fleet_world import World

CORDON = Notice("node-1 is cordoned")


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
