"""Pretended pods on a real nats-server: they keep the protocol, and notice who does not."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from odeon_loadtest.podsim.__main__ import obey
from odeon_loadtest.podsim.buckets import LossyReports, SharedDrains
from odeon_loadtest.podsim.crowd import Crowd, Habits
from odeon_runtime.bus import Bus
from odeon_runtime.pool_agent import Member
from odeon_runtime.pools import Drains, Reports, StoredReport
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.nats import nats_server
from odeon_testkit.wait import until

SEED = 20261122
WITHIN_S = 40.0  # each waits for far less; the machine may be busy
ASKED = Timestamp(seconds=7, nanos=7)


class Site:
    """A crowd, and what an operator hears of it."""

    def __init__(self, crowd: Crowd, drains: Drains, chance: random.Random) -> None:
        self.crowd, self.drains, self.chance = crowd, drains, chance
        self.readings: dict[str, list[pools_pb2.PodReport]] = {}

    async def listen(self, reports: Reports) -> None:
        async with aclosing(reports.watch()) as watch:
            async for told in watch:
                if isinstance(told, StoredReport):
                    self.readings.setdefault(told.report.pod_uid, []).append(told.report)

    def add(self, count: int, *, slots: int = 2) -> None:
        for number in range(count):
            self.crowd.add(Member("cpu", f"cpu-{number}", f"uid-{number}"), slots=slots)

    @property
    def sessions(self) -> int:
        return sum(len(pod.sessions) for pod in self.crowd.pods.values())

    def proven_empty(self, uid: str) -> bool:
        """Two readings of one run that obey the drain, without a session or a promise."""
        last = self.readings.get(uid, [])[-2:]
        return (
            len(last) == 2
            and len({reading.run_id for reading in last}) == 1
            and all(r.obeyed_drain_time == ASKED and not r.sessions + r.reserved for r in last)
        )


async def soon(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds, timeout_s=WITHIN_S)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(nats_server()).url
        bus = await stack.enter_async_context(Bus(url, name="crowd"))
        await asyncio.wait_for(bus.connected.wait(), WITHIN_S)
        chance, drains = random.Random(SEED), SharedDrains(Drains(bus))
        crowd = Crowd(
            reports=LossyReports(Reports(bus), loss=0.2, chance=chance),
            drains=drains,
            habits=Habits(session_s=0.5, claim_s=0.02, resume_s=0.05),
            chance=chance,
        )
        made = Site(crowd, Drains(bus), chance)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("drains", drains.follow())
        tasks.spawn("reports", made.listen(Reports(bus)))
        stack.push_async_callback(crowd.close)
        yield made


async def test_pods_work_as_much_as_is_wanted_and_fits(site: Site) -> None:
    site.add(5, slots=2)
    site.crowd.want("cpu", 7)
    await soon(lambda: site.sessions == 7)

    site.crowd.want("cpu", 100)

    await soon(lambda: site.sessions == 10)
    site.crowd.want("cpu", 0)
    await soon(lambda: site.sessions == 0)


async def drained(site: Site, uid: str, *, kept: bool) -> None:
    """Drain a pod, and delete it when it is proven empty, or change one's mind."""
    await asyncio.sleep(site.chance.random())
    await site.drains.ask(uid, pools_pb2.DrainRecord(ask_time=ASKED))
    if kept:
        await asyncio.sleep(site.chance.random())
        await site.drains.withdraw(uid)
        return
    await soon(lambda: site.proven_empty(uid))
    await site.crowd.remove(uid)


async def test_no_session_is_killed_while_pods_are_drained_and_deleted_at_random_under_load(
    site: Site,
) -> None:
    site.add(40)
    site.crowd.want("cpu", 30)
    await soon(lambda: site.sessions > 20)

    async with asyncio.TaskGroup() as fates:
        for number in range(30):
            fates.create_task(drained(site, f"uid-{number}", kept=number % 5 == 0))
        for _ in range(10):
            await asyncio.sleep(site.chance.random() / 5)
            await site.crowd.restart_one()

    assert site.crowd.figures.killed == 0
    assert (site.crowd.figures.deleted, site.crowd.figures.restarts) == (24, 10)
    assert site.crowd.figures.begun > 60, "there must have been something to kill"
    await soon(lambda: site.sessions > 20)


async def test_a_pod_that_is_to_hand_over_gives_its_sessions_to_others(site: Site) -> None:
    site.add(1, slots=2)
    site.crowd.want("cpu", 2)
    await soon(lambda: site.sessions == 2)
    site.crowd.add(Member("cpu", "cpu-1", "uid-1"), slots=2)

    await site.drains.ask("uid-0", pools_pb2.DrainRecord(ask_time=ASKED, hand_over=True))

    await soon(lambda: site.proven_empty("uid-0"))
    await soon(lambda: len(site.crowd.pods["uid-1"].sessions) == 2)
    assert site.crowd.figures.moved >= 1
    assert site.crowd.figures.killed == 0


async def test_a_pod_that_is_deleted_without_a_drain_kills_and_is_counted(site: Site) -> None:
    site.add(1, slots=2)
    site.crowd.want("cpu", 2)
    await soon(lambda: site.sessions == 2)

    await site.crowd.remove("uid-0")

    assert site.crowd.figures.killed == 2


async def test_the_process_does_what_it_is_told_by_lines_and_passes_over_the_rest(
    site: Site,
) -> None:
    await obey(site.crowd, b'{"do": "add", "pool": "cpu", "pod": "a", "uid": "u-a", "slots": 3}')
    await obey(site.crowd, b'{"do": "want", "pool": "cpu", "sessions": 2}')
    await soon(lambda: site.sessions == 2)
    for wrong in (
        b"",
        b"{}",
        b"[1]",
        b'{"do": "dance"}',
        b'{"do": "want", "pool": "cpu"}',
        b"\xff",
    ):
        await obey(site.crowd, wrong)
    await obey(site.crowd, b'{"do": "restart", "count": 1}')
    await obey(site.crowd, b'{"do": "remove", "uid": "u-a"}')

    assert site.crowd.pods == {}
    assert site.crowd.figures.restarts == 1
