"""What a look at a pool does: creates, drains in the safe order, says so, and then nothing."""

from datetime import timedelta

from odeon_operator.domain.policy import ScalingMode
from odeon_operator.domain.starts import FIRST_WAIT
from odeon_testkit.fleet_world import World


async def test_missing_pods_are_created_under_names_that_follow_from_their_places(
    world: World,
) -> None:
    world.set_pool(least=3)

    await world.rounds()

    assert sorted(p.name for p in world.api.pods.values()) == [
        "main-v1-0",
        "main-v1-1",
        "main-v1-2",
    ]
    assert {p.owner for p in world.api.pods.values()} == {"pool-main"}


async def test_creating_what_another_look_has_created_adopts_it(world: World) -> None:
    world.set_pool(least=2)
    late = world.start("operator-1")
    world.operator.sync()
    await world.operator.look(world.ref)
    late.cluster.sync()
    late.cluster._pods.clear()

    await late.look(world.ref)

    assert len(world.api.pods) == 2
    assert len(world.verbs("create")) == 2


async def test_a_name_that_another_owner_has_is_a_condition_and_no_pod(world: World) -> None:
    await world.settled(1)
    (pod,) = world.api.pods.values()
    world.api.change_pod(pod.uid, owner="somebody")

    await world.rounds(8)

    ready = world.condition("Ready")
    assert (ready.holds, ready.reason) == (False, "PodsRefused")
    assert "main-v1-0" in ready.message
    assert pod.uid in world.api.pods


async def test_nothing_is_written_while_nothing_changes(world: World) -> None:
    await world.settled(3)
    await world.rounds(15)
    before = list(world.api.writes)

    await world.rounds(100)

    assert world.api.writes == before


async def test_an_idle_pod_is_drained_acknowledges_and_is_deleted_in_that_order(
    world: World,
) -> None:
    await world.settled(3)
    world.set_pool(least=2)
    await world.rounds(1)

    (uid,) = world.kv.records
    assert world.api.pods[uid].marked == "draining"
    assert world.api.deleted == []
    await world.rounds(6, until=lambda: [p.uid for p in world.api.deleted] == [uid])


async def test_a_busy_pod_is_not_drained_in_a_pool_whose_sessions_cannot_move(world: World) -> None:
    await world.settled(2)
    for agent in world.agents.values():
        assert agent.claim()
        agent.arrive()
    world.set_pool(least=0)

    await world.rounds(20)

    assert world.kv.records == {}
    assert world.status.counts.allocated == 2


async def test_a_finished_pod_is_deleted_at_once_and_replaced(world: World) -> None:
    await world.settled(1)
    (uid,) = world.api.pods
    world.api.change_pod(uid, finished=True, failed=True)

    await world.rounds(2)
    world.clock.advance(FIRST_WAIT.total_seconds())
    await world.rounds(2)

    assert [p.uid for p in world.api.deleted] == [uid]
    assert [p.name for p in world.api.pods.values()] == ["main-v1-0"]


async def test_failing_pods_are_started_ever_more_patiently(world: World) -> None:
    world.set_pool(least=1)
    await world.rounds(1)
    for _ in range(60):
        for uid in list(world.api.pods):
            world.api.change_pod(uid, node="node-1", finished=True, failed=True)
        world.clock.advance(1)
        world.operator.sync()
        await world.operator.look(world.ref)

    assert len(world.verbs("create")) <= 3
    assert world.condition("CapacityShort").holds


async def test_a_pod_that_somebody_deletes_keeps_its_place_and_is_not_touched(world: World) -> None:
    await world.settled(1)
    (uid,) = world.api.pods
    world.api.change_pod(uid, leaving=True)

    await world.rounds(3)

    assert sorted(p.name for p in world.api.pods.values()) == ["main-v1-0", "main-v1-1"]
    assert uid not in world.kv.records
    assert world.verbs("delete") == []


async def test_draining_pods_are_taken_back_when_the_load_returns(world: World) -> None:
    await world.settled(3)
    world.set_pool(least=1)
    await world.rounds(1)
    drained = set(world.kv.records)

    world.set_pool(least=3)
    await world.rounds(3)

    assert len(drained) == 2
    assert world.kv.records == {}
    assert world.api.deleted == []
    assert {world.api.pods[uid].marked for uid in drained} == {"ready"}
    assert all(world.agents[uid].takes_work for uid in drained)


async def test_a_dry_run_decides_and_says_so_and_touches_no_pod(world: World) -> None:
    world.set_policy(dry_run=True)
    world.set_pool(least=3)

    await world.rounds(2)

    assert {verb for verb, _ in world.api.writes} == {"status"}
    assert world.desired.replicas == 3
    assert world.condition("ScalingActive").reason == "DryRun"


async def test_a_spec_that_cannot_be_used_leaves_the_pods_as_they_are(world: World) -> None:
    await world.settled(2)
    world.api.change_pool(world.ref, pool=None, problem="policy night is missing")
    busy = next(iter(world.agents.values()))
    assert busy.claim()
    busy.arrive()

    await world.rounds(10)

    assert len(world.api.pods) == 2
    assert (world.status.counts.ready, world.status.counts.allocated) == (1, 1)
    assert world.api.pods[busy.uid].marked == "allocated"
    ready = world.condition("Ready")
    assert (ready.holds, ready.reason, ready.message) == (
        False,
        "InvalidSpec",
        "policy night is missing",
    )
    assert world.status.decisions != ()


async def test_a_status_is_written_once_in_five_seconds_however_much_changes(world: World) -> None:
    await world.settled(4)
    await world.rounds(10)
    before = len(world.verbs("status"))

    for agent in world.agents.values():
        agent.claim()
        agent.arrive()
        await world.rounds(1, seconds=0.5)

    assert len(world.verbs("status")) - before == 1
    await world.rounds(6)
    assert world.status.counts.allocated == 4


async def test_what_was_decided_between_two_writes_is_told_by_the_next(world: World) -> None:
    await world.settled(1)
    await world.rounds(15)
    before = len(world.status.decisions)

    # The first change is told at once; the others come while the status may not be written.
    for least in (3, 5, 2):
        world.set_pool(least=least)
        await world.rounds(1)
    await world.rounds(8)

    told = world.status.decisions[before:]
    assert [(note.previous, note.wanted) for note in told] == [(1, 3), (3, 5), (5, 2)]
    assert world.status.last_scale == told[-1].at


async def test_the_last_ten_decisions_are_kept(world: World) -> None:
    for least in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12):
        world.set_pool(least=least)
        await world.rounds(1, seconds=6)

    notes = world.status.decisions
    assert [n.wanted for n in notes] == [3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    assert notes[-1].said[0].startswith("main wants 12 pods (before: 11")
    assert world.desired.at == notes[-1].at


async def test_a_status_edited_by_hand_is_put_right_and_told(world: World) -> None:
    await world.settled(1)
    await world.rounds(10)
    right = world.status
    world.api.change_pool(world.ref, status=None)

    await world.rounds(1)

    assert world.status.counts == right.counts
    assert world.condition("ForeignWriter").holds


async def test_a_foreign_writer_on_replicas_is_named_and_not_followed(world: World) -> None:
    await world.settled(2)
    world.api.scale(world.ref, 9, writer="kubectl-scale")

    await world.rounds(8)

    assert len(world.api.pods) == 2
    foreign = world.condition("ForeignWriter")
    assert foreign.holds
    assert "kubectl-scale" in foreign.message
    assert "spec.replicas" in foreign.message


async def test_replicas_are_followed_where_the_pool_says_so(world: World) -> None:
    world.set_pool(mode=ScalingMode.EXTERNAL, replicas=4)
    world.api.scale(world.ref, 4, writer="horizontal-pod-autoscaler")

    await world.rounds(8)

    assert len(world.api.pods) == 4
    assert not world.condition("ForeignWriter").holds
    assert world.condition("ScalingActive").reason == "ExternalMode"


async def test_a_cold_start_is_learned_and_survives_a_restart(world: World) -> None:
    world.set_pool(least=6)
    world.operator.sync()
    await world.operator.look(world.ref)
    world.clock.advance(39)
    await world.rounds(12)

    learned = world.status.cold_start
    assert (learned.p95, learned.samples) == (40, 6)
    world.operator = world.start("operator-2")
    await world.rounds(8)
    assert world.status.cold_start.p95 == 40


async def test_a_pool_that_is_gone_is_forgotten(world: World) -> None:
    await world.settled(1)
    del world.api.pools[world.ref]
    world.operator.sync()

    assert await world.operator.look(world.ref) is None


async def test_without_the_lease_nothing_is_written(world: World) -> None:
    world.set_pool(least=3)
    world.operator.lease.held = False

    await world.rounds(5)

    assert world.api.writes == []


async def test_a_lost_api_server_or_nats_is_tried_again_soon(world: World) -> None:
    world.set_pool(least=1)
    world.operator.sync()
    world.api.away = True

    again = await world.operator.look(world.ref)

    assert again is not None
    assert again <= timedelta(seconds=1)
    world.api.away = False
    await world.rounds(2)
    assert len(world.api.pods) == 1
