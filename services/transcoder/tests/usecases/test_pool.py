"""A worker in a pool: drained, taken back and restarted, with real offers on a real nats-server."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.events.v1 import events_pb2
from odeon.pools.v1 import pools_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.pool_agent import Member, OpenIntake, PoolAgent
from odeon_runtime.pools import Drains, Reports, StoredReport
from odeon_testkit.nats import nats_server
from odeon_transcoder.adapters.offers import BusOffers
from odeon_transcoder.usecases.supervisor import Supervisor

from .conftest import soon

if TYPE_CHECKING:
    from .conftest import Workshop

WITHIN_S = 20.0


class Pool:
    """Workers of a pool, each with a connection of its own, and their operator."""

    def __init__(self, workshop: "Workshop", url: str, bus: Bus, stack: AsyncExitStack) -> None:
        self._workshop, self.url, self._bus, self._stack = workshop, url, bus, stack
        self.drains = Drains(bus)
        self.reports: dict[str, list[pools_pb2.PodReport]] = {}
        workshop.spawn(self._listen())

    async def _listen(self) -> None:
        async with aclosing(Reports(self._bus).watch()) as watch:
            async for told in watch:
                if isinstance(told, StoredReport):
                    self.reports.setdefault(told.report.pod_uid, []).append(told.report)

    async def worker(
        self, name: str, *, slots: int = 4, remembers: Iterable[str] = ()
    ) -> Supervisor:
        bus = await self._stack.enter_async_context(Bus(self.url, name=name))
        member = Member("cpu", name, f"uid-{name}")
        agent = PoolAgent.on(bus, member, lambda: made.load)
        made = self._workshop.worker(
            name, slots=slots, remembers=remembers, offers=BusOffers(bus), intake=agent
        )
        self._workshop.spawn(agent.run())
        return made

    async def drain(self, name: str, *, hand_over: bool = False) -> Timestamp:
        asked = Timestamp(seconds=1_800_000_000, nanos=1)
        record = pools_pb2.DrainRecord(ask_time=asked, hand_over=hand_over)
        await self.drains.ask(f"uid-{name}", record)
        return asked

    async def undrain(self, name: str) -> None:
        await self.drains.withdraw(f"uid-{name}")

    async def garble(self, name: str) -> None:
        """Write what is no record."""
        jetstream = self._bus.client.jetstream()
        await jetstream.publish(f"$KV.odeon_pool_drains.uid-{name}", b"\xff\xff")

    def offer(self, job: str) -> None:
        self._workshop.world.slots[f"jobs/{job}"] = 1
        offered = events_pb2.JobOffered(job_id=job, event_id="launch", slots=1)
        subject = subjects.work("transcoder.job.offer", "acme", job)
        self._bus.publish(subject, envelope("acme", job_offered=offered))

    async def hears(self, name: str, holds: Callable[[pools_pb2.PodReport], bool]) -> None:
        await soon(
            lambda: any(holds(report) for report in self.reports.get(f"uid-{name}", [])[-1:])
        )


@pytest.fixture
async def pool(workshop: "Workshop") -> AsyncIterator[Pool]:
    async with AsyncExitStack() as stack:
        url = stack.enter_context(nats_server()).url
        bus = await stack.enter_async_context(Bus(url, name="operator"))
        await asyncio.wait_for(bus.ensure_streams(), WITHIN_S)
        stack.push_async_callback(workshop.close)
        yield Pool(workshop, url, bus, stack)


def obeys(asked: Timestamp, *, sessions: int) -> Callable[[pools_pb2.PodReport], bool]:
    return lambda report: report.obeyed_drain_time == asked and report.sessions == sessions


async def test_a_drained_worker_keeps_its_jobs_takes_no_other_and_works_again_when_undrained(
    workshop: "Workshop", pool: Pool
) -> None:
    holder = workshop.world.holder
    first = await pool.worker("w1")
    pool.offer("live")
    await soon(lambda: holder == {"jobs/live": "w1"})
    await pool.hears("w1", lambda report: (report.sessions, report.reserved) == (1, 0))

    asked = await pool.drain("w1")

    await pool.hears("w1", obeys(asked, sessions=1))
    await pool.worker("w2")
    for number in range(5):
        pool.offer(f"job-{number}")
    await soon(lambda: len(holder) == 5)
    assert [job for job, worker in holder.items() if worker == "w1"] == ["jobs/live"]
    first.jobs[0].release()
    await pool.hears("w1", obeys(asked, sessions=0))
    await pool.undrain("w1")
    pool.offer("job-5")
    await soon(lambda: holder.get("jobs/job-5") == "w1")
    await pool.hears("w1", lambda report: not report.HasField("obeyed_drain_time"))


async def test_a_worker_whose_node_goes_away_gives_its_jobs_to_others(
    workshop: "Workshop", pool: Pool
) -> None:
    holder = workshop.world.holder
    await pool.worker("w1")
    pool.offer("one")
    pool.offer("two")
    await soon(lambda: holder == {"jobs/one": "w1", "jobs/two": "w1"})
    asked = await pool.drain("w1")
    await pool.hears("w1", obeys(asked, sessions=2))
    await pool.worker("w2")

    await pool.drain("w1", hand_over=True)

    await pool.hears("w1", obeys(asked, sessions=0))
    pool.offer("one")
    pool.offer("two")
    await soon(lambda: holder == {"jobs/one": "w2", "jobs/two": "w2"})


async def test_a_worker_that_restarts_drained_resumes_its_jobs_and_takes_no_other(
    workshop: "Workshop", pool: Pool
) -> None:
    world = workshop.world
    world.slots = {"jobs/one": 1, "jobs/two": 1}
    world.holder = dict.fromkeys(world.slots, "w1")
    asked = await pool.drain("w1")
    pool.offer("new")

    await pool.worker("w1", remembers=("jobs/one", "jobs/two"))

    await pool.hears("w1", obeys(asked, sessions=2))
    obeying = [r for r in pool.reports["uid-w1"] if r.HasField("obeyed_drain_time")]
    assert {(r.sessions, r.reserved) for r in obeying} == {(2, 0)}, "before all was resumed"
    await pool.worker("w2")
    await soon(lambda: world.holder.get("jobs/new") == "w2")


async def test_a_worker_says_that_it_is_not_ready_while_it_stops(
    workshop: "Workshop", pool: Pool
) -> None:
    worker = await pool.worker("w1")
    pool.offer("live")
    await pool.hears("w1", lambda report: report.sessions == 1 and report.ready)
    workshop.world.may_finish.clear()

    stopping = asyncio.create_task(worker.stop(wait_s=0, flush_s=WITHIN_S))

    await pool.hears("w1", lambda report: report.sessions == 1 and not report.ready)
    workshop.world.may_finish.set()
    await stopping
    await pool.hears("w1", lambda report: report.sessions == 0 and not report.ready)


async def test_a_record_that_nobody_can_read_forbids_work_and_is_not_acknowledged(
    workshop: "Workshop", pool: Pool
) -> None:
    await pool.worker("w1")
    await pool.hears("w1", lambda report: not report.HasField("obeyed_drain_time"))
    await pool.garble("w1")
    pool.offer("new")

    await pool.worker("w2")

    await soon(lambda: workshop.world.holder.get("jobs/new") == "w2")
    assert not any(report.HasField("obeyed_drain_time") for report in pool.reports["uid-w1"]), (
        "nobody can say which drain it obeys"
    )


class Forbidding(OpenIntake):
    """Lets offers in, and then forbids the claim: the record was written in between."""

    @asynccontextmanager
    async def claiming(self) -> AsyncIterator[bool]:
        yield False


async def test_an_offer_whose_claim_is_forbidden_goes_to_another_worker(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.slots = {"jobs/new": 1}
    workshop.worker("w1", slots=1, intake=Forbidding())
    offer = workshop.queue.offer("jobs/new")
    await soon(lambda: offer.said == ["again"])
    assert world.holder == {}

    workshop.worker("w2", slots=1)

    await soon(lambda: world.holder == {"jobs/new": "w2"})


async def test_the_service_reports_as_the_pod_that_its_environment_names(pool: Pool) -> None:
    nobody = "127.0.0.1:9"
    environment = {
        **os.environ,
        **{f"ODEON_{peer}_ADDRESS": nobody for peer in ("AUTH", "ROOM", "RECORDER")},
        "ODEON_RECORDER_HTTP": f"http://{nobody}",
        "ODEON_POOL": "cpu",
        "ODEON_POD_NAME": "cpu-7",
        "ODEON_POD_UID": "uid-w7",
        "ODEON_NATS_URL": pool.url,
        "ODEON_TRANSCODER_SLOTS": "3",
        "ODEON_TRANSCODER_SPARES": "0",
        "ODEON_TRANSCODER_PROBE": "false",
        "ODEON_DIE_WITH_PARENT": "1",
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "odeon_transcoder"),
        stdout=asyncio.subprocess.DEVNULL,
        env=environment,
    )
    try:
        asked = await pool.drain("w7")
        await pool.hears("w7", obeys(asked, sessions=0))
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), WITHIN_S)
    last = pool.reports["uid-w7"][-1]
    assert (last.pool, last.pod, last.slots_total) == ("cpu", "cpu-7", 3)
