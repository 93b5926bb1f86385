"""Operators that die, come in pairs, and lose the API server or NATS: no double, nobody cut."""

import asyncio
import os
import signal
from contextlib import suppress
from random import Random
from urllib.parse import urlsplit

import httpx
import pytest
from odeon_testkit.freezer import Freezer
from odeon_testkit.kube import settings
from odeon_testkit.kube.api import Refused
from odeon_testkit.operated import OperatorProcess, SimPod
from odeon_testkit.operated_site import Site

KILLS = 20


async def _busy_and_quiet(site: Site, chance: Random) -> None:
    """Claims and ends, so that capacity is wanted and given back again and again."""
    while True:
        for quiet in (False, True):
            for _ in range(12):
                pods: list[SimPod] = list(site.kubelet.running.values())
                if pods:
                    pod = chance.choice(pods)
                    if quiet:
                        pod.finish()
                    elif pod.sessions < 2:
                        await pod.claim()
                await asyncio.sleep(0.1)


def _doubles(site: Site) -> list[str]:
    """Places of the pool that two pods have."""
    places = [p["metadata"]["labels"]["odeon.live/index"] for p in site.kubelet.pods()]
    return [place for place in set(places) if places.count(place) > 1]


@pytest.mark.timeout(3000)
async def test_deaths_at_any_moment_leave_no_double_no_orphan_and_cut_nobody(
    site: Site, full: bool
) -> None:
    chance = Random(1)
    site.make_pool(minReplicas=1, maxReplicas=6)
    operator = site.operator()
    load = asyncio.create_task(_busy_and_quiet(site, chance), name="load")

    for _ in range(10 * KILLS if full else KILLS):
        await asyncio.to_thread(operator.start)
        await asyncio.sleep(chance.uniform(0.1, 1.2))
        operator.kill()
        assert _doubles(site) == []
    load.cancel()
    for pod in list(site.kubelet.running.values()):
        pod.sessions = 0
        pod.agent.load_changed()
    await asyncio.to_thread(operator.start)

    await site.serving(1)
    assert site.kubelet.killed == []
    assert len(site.kubelet.seen) > 3
    (left,) = site.kubelet.running.values()
    # Records of the others are swept by and by; the one that is left takes work.
    assert await left.claim()


async def test_two_operators_by_force_cut_nobody_make_no_double_and_are_told_of(
    site: Site,
) -> None:
    chance = Random(2)
    site.make_pool(minReplicas=1, maxReplicas=6)
    for identity in ("one", "two"):
        site.operator(identity, ODEON_OPERATOR_LEASE_NAME=identity).start()
    load = asyncio.create_task(_busy_and_quiet(site, chance), name="load")

    for _ in range(50):
        await asyncio.sleep(0.15)
        assert _doubles(site) == []
        assert len(site.names()) <= 6
    load.cancel()

    assert site.kubelet.killed == []
    assert site.condition("ForeignWriter")["status"] == "True"
    assert "second operator" in site.condition("ForeignWriter")["message"]


async def test_a_standby_waits_without_acting_and_takes_over_what_a_dead_one_leaves(
    site: Site,
) -> None:
    site.make_pool(minReplicas=1)
    leader, standby = site.operator("one"), site.operator("two")
    leader.start()
    await site.serving(1)
    standby.start()
    assert _health(standby)["leader"] is False

    leader.kill()
    site.set_pool(minReplicas=2)

    await site.serving(2)
    assert site.lease()["spec"]["holderIdentity"] == "two"
    assert site.lease()["spec"]["leaseTransitions"] == 1
    assert site.kubelet.killed == []


async def test_an_operator_that_is_asked_to_end_gives_its_lease_back(site: Site) -> None:
    site.make_pool(minReplicas=1)
    operator = site.operator("one")
    operator.start()
    await site.serving(1)

    await asyncio.to_thread(operator.stop)

    assert site.lease()["spec"]["holderIdentity"] == ""


async def test_an_operator_whose_lease_was_taken_ends(site: Site) -> None:
    site.make_pool(minReplicas=1)
    operator = site.operator("one")
    operator.start()
    await site.serving(1)

    with suppress(Refused):
        taken = {"holderIdentity": "thief", "leaseDurationSeconds": 60}
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **site.lease()}
        site.api.patch(lease, {"spec": taken})

    await site.until(lambda: operator.code is not None)
    assert operator.code != 0
    site.set_pool(minReplicas=3)
    assert len(site.names()) == 1


async def test_without_the_api_server_the_operator_ends_once_and_acts_soon_after_its_return(
    own_site: Site,
) -> None:
    site = own_site
    site.make_pool(minReplicas=2)
    operator = site.operator()
    operator.start()
    await site.serving(2)
    busy = next(iter(site.kubelet.running.values()))
    assert await busy.claim()
    site.plane.api_server.stop()
    try:
        # It cannot know whether another one leads by now.
        await site.until(lambda: operator.code is not None)
        # What a kubelet would do; this one waits for the API server and does not end again.
        operator.start()
        await asyncio.sleep(3)
        assert operator.code is None
        assert _health(operator)["leader"] is False
    finally:
        site.plane.api_server.start()
        await asyncio.to_thread(site.plane.wait_until_ready)
    site.set_pool(minReplicas=3)

    await site.serving(3)
    assert busy.sessions == 1
    assert site.kubelet.killed == []


async def test_an_operator_whose_api_server_hangs_ends_as_long_as_nobody_else_may_act(
    own_site: Site,
) -> None:
    site = own_site
    site.make_pool(minReplicas=1)
    operator = site.operator()
    operator.start()
    await site.serving(1)
    pid = site.plane.api_server.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        await site.until(lambda: operator.code is not None)
    finally:
        os.kill(pid, signal.SIGCONT)

    assert operator.code != 0


async def test_without_nats_the_number_is_held_and_more_may_still_be_started(site: Site) -> None:
    site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    site.nats.stop()
    try:
        site.set_pool(minReplicas=0)
        await site.until(
            lambda: site.condition("MetricsAvailable").get("status") == "False", timeout_s=30
        )
        assert site.states() == ["ready", "ready"]
        site.set_pool(minReplicas=3)
        await site.until(lambda: len(site.names()) == 3)
    finally:
        site.nats.start()

    site.set_pool(minReplicas=1)
    await site.serving(1)
    assert site.kubelet.killed == []


async def test_watches_that_say_nothing_any_more_are_made_up_for_by_reading_everything(
    site: Site,
) -> None:
    port = urlsplit(site.plane.url).port
    assert port is not None
    config = site.directory / "frozen.kubeconfig"
    site.make_pool(minReplicas=1)
    async with Freezer(port) as way:
        url = f"https://127.0.0.1:{way.port}"
        config.write_text(settings.kubeconfig(url, site.plane.ca_file, site.plane.token))
        operator = site.operator(
            KUBECONFIG=str(config),
            ODEON_OPERATOR_RESYNC_S="1",
            # A hung connection costs an attempt of the Lease, but not the Lease.
            ODEON_OPERATOR_LEASE_DURATION_S="20",
            ODEON_OPERATOR_LEASE_DEADLINE_S="15",
        )
        await asyncio.to_thread(operator.start)
        await site.serving(1)

        # Pods, nodes and four kinds of resources are watched.
        assert way.freeze() >= 6
        site.set_pool(minReplicas=2)

        await site.serving(2, timeout_s=40)
        assert operator.code is None
        operator.kill()


def _health(operator: OperatorProcess) -> dict[str, object]:
    found: dict[str, object] = httpx.get(f"{operator.http}/livez").raise_for_status().json()
    return found
