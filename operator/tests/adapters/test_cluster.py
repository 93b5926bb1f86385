"""What the operator relies on, of the API server in memory and of a real one alike."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from odeon_operator.domain.conditions import Condition
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.status import Counts, DecisionNote, Desired, PoolStatus
from odeon_operator.ports import Cluster, NameTaken, Outdated, PoolFacts

if TYPE_CHECKING:
    from .conftest import Truth

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
STATUS = PoolStatus(
    1,
    selector="odeon.live/pool=main",
    counts=Counts(replicas=2, ready=1, allocated=1, reserved=3, draining=1, pending=1),
    desired=Desired(2, "load", "because", NOW, "ab" * 16),
    last_scale=NOW,
    decisions=(DecisionNote(NOW, 2, 1, "load", ("because", "of that")),),
    conditions=(Condition("Ready", True, "EnoughPods", "2 of 2", NOW),),
)


async def known(truth: "Truth", name: str = "main") -> PoolFacts:
    """A pool that both know of."""
    ref = truth.make_pool(name)
    await truth.sync()
    facts = truth.one.pool(ref)
    assert facts is not None
    return facts


def uids(cluster: Cluster, pool: PoolFacts) -> list[str]:
    return [p.uid for p in cluster.pods(pool.uid)]


async def test_a_created_pod_is_seen_at_once_by_its_maker_and_later_by_others(
    truth: "Truth",
) -> None:
    pool = await known(truth)

    pod = await truth.one.create_pod(pool, 4)

    assert (pod.index, pod.marked, pod.owner) == (4, PodState.STARTING, pool.uid)
    assert pool.pool is not None
    assert pod.version == pool.pool.version
    assert (uids(truth.one, pool), uids(truth.two, pool)) == ([pod.uid], [])
    await truth.sync()
    assert uids(truth.two, pool) == [pod.uid]
    assert set(truth.two.alive()) == {pod.uid}


async def test_creating_it_once_more_finds_the_first(truth: "Truth") -> None:
    pool = await known(truth)

    pods = [await one.create_pod(pool, 0) for one in (truth.one, truth.two)]

    assert pods[0].uid == pods[1].uid


async def test_a_name_that_another_owner_has_is_not_adopted(truth: "Truth") -> None:
    pool = await known(truth)
    truth.give_away(await truth.one.create_pod(pool, 0))

    with pytest.raises(NameTaken):
        await truth.two.create_pod(pool, 0)


async def test_a_pod_is_marked_only_as_it_was_seen(truth: "Truth") -> None:
    pool = await known(truth)
    pod = await truth.one.create_pod(pool, 0)

    marked = await truth.one.mark_pod(pod, PodState.READY)
    with pytest.raises(Outdated):
        await truth.two.mark_pod(pod, PodState.DRAINING)

    assert (marked.marked, marked.uid) == (PodState.READY, pod.uid)
    assert marked.revision != pod.revision
    assert truth.one.pods(pool.uid) == [marked]
    await truth.sync()
    assert truth.two.pods(pool.uid) == [marked]


async def test_a_pod_that_changed_is_not_deleted_and_one_that_is_gone_is_no_error(
    truth: "Truth",
) -> None:
    pool = await known(truth)
    pod = await truth.one.create_pod(pool, 0)
    truth.touch(pod)

    with pytest.raises(Outdated):
        await truth.one.delete_pod(pod)

    await truth.sync()
    (seen,) = truth.one.pods(pool.uid)
    await truth.one.delete_pod(seen)
    assert uids(truth.one, pool) == []
    await truth.two.delete_pod(seen)
    assert uids(truth.two, pool) == []


async def test_a_pod_of_the_same_name_that_came_later_is_not_deleted(truth: "Truth") -> None:
    pool = await known(truth)
    pod = await truth.one.create_pod(pool, 0)
    await truth.one.delete_pod(pod)
    later = await truth.one.create_pod(pool, 0)

    await truth.two.delete_pod(pod)

    await truth.sync()
    assert later.uid != pod.uid
    assert uids(truth.two, pool) == [later.uid]


async def test_marking_a_pod_that_is_gone_is_outdated(truth: "Truth") -> None:
    pool = await known(truth)
    pod = await truth.one.create_pod(pool, 0)
    truth.remove(pod)

    with pytest.raises(Outdated):
        await truth.one.mark_pod(pod, PodState.READY)

    await truth.sync()
    assert uids(truth.one, pool) == []


async def test_what_vanished_is_forgotten_though_no_event_told_of_it(truth: "Truth") -> None:
    pool = await known(truth)
    gone, stays = [await truth.one.create_pod(pool, n) for n in (0, 1)]
    await truth.sync()
    truth.remove(gone)

    await truth.sync()

    assert uids(truth.one, pool) == uids(truth.two, pool) == [stays.uid]


async def test_a_status_comes_back_as_it_was_written(truth: "Truth") -> None:
    pool = await known(truth)

    accepted = await truth.one.write_status(pool, STATUS)

    assert accepted == STATUS
    seen = truth.one.pool(pool.ref)
    assert seen is not None
    assert seen.status == STATUS
    await truth.sync()
    assert (facts := truth.two.pool(pool.ref)) is not None
    assert facts.status == STATUS


async def test_what_a_status_says_no_more_is_gone(truth: "Truth") -> None:
    pool = await known(truth)
    await truth.one.write_status(pool, STATUS)
    less = replace(STATUS, desired=None, last_scale=None, decisions=(), conditions=())

    assert await truth.one.write_status(pool, less) == less


async def test_pods_of_two_pools_are_told_apart(truth: "Truth") -> None:
    first, second = await known(truth), await known(truth, "second")

    pods = [await truth.one.create_pod(pool, 0) for pool in (first, second)]

    assert uids(truth.one, first) == [pods[0].uid]
    assert uids(truth.one, second) == [pods[1].uid]
    assert sorted(r.name for r in truth.one.pools()) == ["main", "second"]
