"""An edge of a pool: what it reports, and how it retreats and comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from odeon_runtime.bus import Bus
from odeon_runtime.pools import Drains, Reports, StoredReport
from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.origin import Origin, Reply
from odeon_testkit.wait import until

UID = "uid-e0"
WITHIN_S = 20.0  # each waits for far less; the machine may be busy


@dataclass
class Operator:
    server: NatsServer
    drains: Drains
    reports: list[pools_pb2.PodReport] = field(default_factory=list)

    async def ask(self, second: int) -> Timestamp:
        asked = Timestamp(seconds=second, nanos=123_456_789)
        await self.drains.ask(UID, pools_pb2.DrainRecord(ask_time=asked, reason="TEST"))
        return asked

    async def hears(self, holds: Callable[[pools_pb2.PodReport], bool]) -> pools_pb2.PodReport:
        async def heard() -> bool:
            return bool(self.reports) and holds(self.reports[-1])

        await until(heard, timeout_s=WITHIN_S)
        return self.reports[-1]


@pytest.fixture
async def operator() -> AsyncIterator[Operator]:
    async with AsyncExitStack() as stack:
        server = stack.enter_context(nats_server())
        bus = await stack.enter_async_context(Bus(server.url, name="operator"))
        await asyncio.wait_for(bus.connected.wait(), WITHIN_S)
        made = Operator(server, Drains(bus))

        async def listen() -> None:
            async with aclosing(Reports(bus).watch()) as watch:
                async for told in watch:
                    if isinstance(told, StoredReport):
                        made.reports.append(told.report)

        listening = asyncio.create_task(listen())
        await made.drains.of(UID)
        yield made
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening


@asynccontextmanager
async def pooled(start_edge: StartEdge, operator: Operator, notice_s: str) -> AsyncIterator[Edge]:
    member = {"ODEON_POOL": "edges", "ODEON_POD_NAME": "edges-0", "ODEON_POD_UID": UID}
    settings = {**member, "NATS": operator.server.url, "REPORT_MS": "100"}
    async with start_edge(**settings, DRAIN_NOTICE_S=notice_s) as edge:
        yield edge


def obeys(asked: Timestamp) -> Callable[[pools_pb2.PodReport], bool]:
    return lambda report: (
        report.HasField("obeyed_drain_time") and (report.obeyed_drain_time == asked)
    )


def takes_viewers(report: pools_pb2.PodReport) -> bool:
    return report.pod_uid == UID and not report.HasField("obeyed_drain_time")


async def test_an_edge_reports_its_viewers_and_what_it_sends(
    start_edge: StartEdge, operator: Operator, origin: Origin, ticket: Ticket
) -> None:
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(100_000))
    async with pooled(start_edge, operator, "0") as edge:
        await edge.ask(ticket("v720/s1.m4s"))
        await operator.hears(lambda report: report.sessions == report.viewers == 1)

    assert max(report.egress_bps for report in operator.reports) > 100_000
    last = operator.reports[-1]
    assert (last.pool, last.pod, last.slots_total, last.ready) == ("edges", "edges-0", 0, True)
    assert len({report.run_id for report in operator.reports}) == 1


async def test_a_drained_edge_is_steered_away_from_first_and_not_ready_only_afterwards(
    start_edge: StartEdge, operator: Operator, ticket: Ticket
) -> None:
    async with pooled(start_edge, operator, "1.5") as edge:
        await operator.hears(takes_viewers)
        asked = await operator.ask(7)

        async def leaves_steering() -> bool:
            return bool((await edge.stats())["load"]["draining"])

        await until(leaves_steering)
        assert (await edge.admin_get("/readyz")).status == 200, "viewers have still to move"
        assert takes_viewers(operator.reports[-1])
        await edge.until_ready(ready=False)
        await operator.hears(obeys(asked))
        # A viewer whose player knows no other way is served, and let go with his answer.
        answer = await edge.ask(ticket("main.m3u8"))
        assert (answer.status, answer.headers["connection"]) == (200, "close")


async def test_a_drained_edge_lets_its_connections_go_and_takes_viewers_again_when_undrained(
    start_edge: StartEdge, operator: Operator, ticket: Ticket
) -> None:
    async with pooled(start_edge, operator, "0") as edge:
        await operator.hears(takes_viewers)
        idle, idle_writer = await wire.connect(edge.url)
        idle_writer.write(wire.request(ticket("main.m3u8")))
        await wire.read_answer(idle)

        asked = await operator.ask(7)

        await operator.hears(obeys(asked))
        assert await wire.until_closed(idle, timeout_s=WITHIN_S) == b""
        await edge.until_ready(ready=False)
        await operator.drains.withdraw(UID)
        await edge.until_ready()
        await operator.hears(takes_viewers)
        again, again_writer = await wire.connect(edge.url)
        for _ in range(2):
            again_writer.write(wire.request(ticket("main.m3u8")))
            answer = await wire.read_answer(again)
            assert (answer.status, answer.headers.get("connection")) == (200, None)
        for writer in (idle_writer, again_writer):
            writer.close()


async def test_a_drained_edge_stays_so_while_nats_is_away_and_another_is_ready_without_it(
    start_edge: StartEdge, operator: Operator, ticket: Ticket
) -> None:
    async with pooled(start_edge, operator, "0") as drained:
        asked = await operator.ask(7)
        await operator.hears(obeys(asked))
        operator.server.stop()
        await drained.until_logged("pool.unheard")
        assert (await drained.admin_get("/readyz")).status == 503
        assert (await drained.ask(ticket("main.m3u8"))).status == 200
    async with pooled(start_edge, operator, "0") as fresh:
        await fresh.until_ready()
        assert (await fresh.ask(ticket("main.m3u8"))).status == 200


async def test_a_restarted_edge_obeys_the_record_that_stands(
    start_edge: StartEdge, operator: Operator
) -> None:
    asked = await operator.ask(7)
    async with pooled(start_edge, operator, "0"):
        first = await operator.hears(obeys(asked))
    async with pooled(start_edge, operator, "0"):
        second = await operator.hears(
            lambda report: obeys(asked)(report) and report.run_id != first.run_id
        )

    assert second.ready
