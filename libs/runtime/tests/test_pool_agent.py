"""A pod's agent on a real nats-server: drains, takes them back, restarts, and NATS away."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import structlog.testing
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.events.v1 import events_pb2
from odeon.pools.v1 import pools_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, Offer, envelope
from odeon_runtime.pool_agent import Load, Member, PoolAgent
from odeon_runtime.pools import Drains, Reports, StoredReport
from odeon_runtime.settings import ServiceSettings
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.wait import until
from pydantic import ValidationError

POD = Member("cpu", "cpu-0", "uid-0")
WITHIN_S = 20.0  # each waits for far less; the machine may be busy


@dataclass
class Operator:
    """Hears reports and writes drain records, as the operator does."""

    drains: Drains
    reports: list[pools_pb2.PodReport] = field(default_factory=list)

    @property
    def last(self) -> pools_pb2.PodReport:
        return self.reports[-1] if self.reports else pools_pb2.PodReport()

    async def listen(self, reports: Reports) -> None:
        async with aclosing(reports.watch()) as watch:
            async for told in watch:
                if isinstance(told, StoredReport):
                    self.reports.append(told.report)

    async def ask(self, second: int) -> Timestamp:
        asked = Timestamp(seconds=second, nanos=123_456_789)
        await self.drains.ask(POD.pod_uid, pools_pb2.DrainRecord(ask_time=asked, reason="TEST"))
        return asked

    async def withdraw(self) -> None:
        await self.drains.withdraw(POD.pod_uid)

    async def hears(self, holds: Callable[[pools_pb2.PodReport], bool]) -> None:
        await soon(lambda: holds(self.last))


async def soon(condition: Callable[[], bool]) -> None:
    async def holds() -> bool:
        return condition()

    await until(holds, timeout_s=WITHIN_S)


def obeys(asked: Timestamp) -> Callable[[pools_pb2.PodReport], bool]:
    return lambda report: (
        report.HasField("obeyed_drain_time") and (report.obeyed_drain_time == asked)
    )


def takes_work(report: pools_pb2.PodReport) -> bool:
    return report.pod_uid == POD.pod_uid and not report.HasField("obeyed_drain_time")


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


@pytest.fixture
async def operator(server: NatsServer) -> AsyncIterator[Operator]:
    async with Bus(server.url, name="operator") as bus, EternalTasks() as tasks:
        await asyncio.wait_for(bus.connected.wait(), WITHIN_S)
        made = Operator(Drains(bus))
        tasks.spawn("reports", made.listen(Reports(bus)))
        yield made


@dataclass
class Pod:
    """A running pod, with the load that a test gives it."""

    agent: PoolAgent
    bus: Bus
    load: Load = field(default_factory=Load)

    def has(self, load: Load) -> None:
        self.load = load
        self.agent.load_changed()

    async def may_claim(self) -> bool:
        async with self.agent.claiming() as may:
            return may


@asynccontextmanager
async def running(server: NatsServer, load: Load | None = None) -> AsyncIterator[Pod]:
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus(server.url, name="pod"))
        agent = PoolAgent.on(bus, POD, lambda: pod.load)
        pod = Pod(agent, bus, load or Load())
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("pool", agent.run())
        yield pod


async def test_a_pod_reports_who_it_is_and_every_change_of_its_load(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        await operator.hears(takes_work)
        pod.has(Load(sessions=2, slots_used=3, slots_total=4, viewers=5, egress_bps=6, ready=False))
        await operator.hears(lambda report: report.sessions == 2)

    assert operator.last == pools_pb2.PodReport(
        pool="cpu",
        pod="cpu-0",
        pod_uid="uid-0",
        run_id=pod.agent.run_id,
        sessions=2,
        slots_used=3,
        slots_total=4,
        viewers=5,
        egress_bps=6,
    )


async def test_a_drain_is_acknowledged_by_its_own_time_and_taken_back_by_its_withdrawal(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        await soon(lambda: not pod.agent.closed)
        assert await pod.may_claim()

        asked = await operator.ask(7)

        await operator.hears(obeys(asked))
        assert not await pod.may_claim()
        asked_anew = await operator.ask(8)
        await operator.hears(obeys(asked_anew))
        await operator.withdraw()
        await operator.hears(takes_work)
        await soon(lambda: not pod.agent.closed)
        assert await pod.may_claim()


async def test_a_claim_on_its_way_is_waited_for_before_a_drain_is_acknowledged(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        await soon(lambda: not pod.agent.closed)
        async with pod.agent.claiming() as may:
            assert may
            asked = await operator.ask(7)
            await soon(lambda: pod.agent.closed)
            said = len(operator.reports)
            await soon(lambda: len(operator.reports) > said)
            assert takes_work(operator.last), "the claim has still to be answered"
            pod.load = Load(sessions=1)
        await operator.hears(obeys(asked))

    assert operator.last.sessions == 1


async def test_what_is_promised_is_waited_for_before_a_drain_is_acknowledged(
    server: NatsServer, operator: Operator
) -> None:
    asked = await operator.ask(7)
    async with running(server, Load(reserved=1)) as pod:
        await operator.hears(lambda report: report.reserved == 1)
        await soon(lambda: pod.agent.closed)
        said = len(operator.reports)
        pod.agent.load_changed()
        await soon(lambda: len(operator.reports) > said)
        assert takes_work(operator.last)

        pod.has(Load(sessions=1))

        await operator.hears(obeys(asked))
        assert not any(obeys(asked)(report) and report.reserved for report in operator.reports)


async def test_a_restarted_process_obeys_the_record_before_it_takes_anything(
    server: NatsServer, operator: Operator
) -> None:
    asked = await operator.ask(7)
    async with running(server) as first:
        await operator.hears(obeys(asked))
    async with running(server) as second:
        await operator.hears(lambda report: report.run_id == second.agent.run_id)
        await operator.hears(obeys(asked))
        assert not await second.may_claim()
    assert first.agent.run_id != second.agent.run_id


async def test_without_nats_at_the_start_no_work_is_taken_and_the_log_says_why(
    server: NatsServer,
) -> None:
    server.stop()
    with structlog.testing.capture_logs() as logged:
        async with running(server) as pod:
            await soon(lambda: any(line["event"] == "pool_drain_unknown" for line in logged))
            assert pod.agent.closed
            assert not await pod.may_claim()

            server.start()

            await soon(lambda: not pod.agent.closed)
            assert await pod.may_claim()
    said = [line["event"] for line in logged if line.get("what") == "watch"]
    assert said == ["pool_trouble_over"]


async def test_while_nats_is_away_nothing_is_claimed_and_an_old_acknowledgement_stands(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        await soon(lambda: not pod.agent.closed)
        server.stop()
        assert not await pod.may_claim()
        server.start()
        await soon(lambda: not pod.agent.closed)

        asked = await operator.ask(7)
        await operator.hears(obeys(asked))
        server.stop()
        await soon(lambda: not pod.bus.connected.is_set())
        assert not await pod.may_claim()
        operator.reports.clear()
        server.start()
        await operator.hears(obeys(asked))

    assert all(obeys(asked)(report) for report in operator.reports)


async def test_a_nats_that_lost_its_disk_frees_no_pod_that_has_acknowledged(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        asked = await operator.ask(7)
        await operator.hears(obeys(asked))

        server.stop(signal.SIGKILL)
        shutil.rmtree(server.directory / "store")
        operator.reports.clear()
        server.start()

        await operator.hears(obeys(asked))
        assert await Drains(pod.bus).of(POD.pod_uid) is None
        assert not await pod.may_claim()
        await operator.withdraw()
        await operator.hears(takes_work)


async def test_a_drain_puts_the_pull_back_so_that_others_get_the_work_at_once(
    server: NatsServer, operator: Operator
) -> None:
    async with running(server) as pod:
        await pod.bus.ensure_streams()
        await soon(lambda: not pod.agent.closed)
        puller = pod.bus.puller(subjects.WORK_STREAM, "workers", subjects.JOB_OFFERS)

        async def take() -> Offer | None:
            return await puller.next(wait_s=60.0)

        pulling = asyncio.create_task(pod.agent.pull(take, puller.put_back))
        await waiting_pulls(pod.bus, 1)

        asked = await operator.ask(7)

        assert await asyncio.wait_for(pulling, WITHIN_S) is None
        await operator.hears(obeys(asked))
        await waiting_pulls(pod.bus, 0)
        offered = events_pb2.JobOffered(job_id="job-1")
        pod.bus.publish(
            subjects.work("transcoder.job.offer", "acme", "job-1"),
            envelope("acme", job_offered=offered),
        )
        other = pod.bus.puller(subjects.WORK_STREAM, "workers", subjects.JOB_OFFERS)
        offer = await other.next(wait_s=WITHIN_S)
        assert offer is not None
        assert offer.fact.job_offered.job_id == "job-1"
        (consumer,) = await pod.bus.client.jetstream().consumers_info(subjects.WORK_STREAM)
        assert consumer.num_redelivered == 0, "it went to the one who is draining first"


async def waiting_pulls(bus: Bus, count: int) -> None:
    async def holds() -> bool:
        consumers = await bus.client.jetstream().consumers_info(subjects.WORK_STREAM)
        return sum(consumer.num_waiting or 0 for consumer in consumers) == count

    await until(holds, timeout_s=WITHIN_S)


def test_a_pools_pod_that_does_not_know_who_it_is_does_not_start() -> None:
    known: dict[str, Any] = {"pool": "cpu", "pod_name": "cpu-0", "pod_uid": "uid-0"}
    known["nats_url"] = "nats://nats"

    assert Member.of(ServiceSettings(**known)) == POD
    assert Member.of(ServiceSettings()) is None
    for missing in ("pod_name", "pod_uid", "nats_url"):
        with pytest.raises(ValidationError, match="ODEON_POOL wants"):
            ServiceSettings(**{**known, missing: ""})
