"""Going away without anybody noticing."""

import asyncio
import json
import signal
import ssl
import time
from pathlib import Path

from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.h2client import H2Client
from odeon_testkit.origin import Origin
from odeon_testkit.wait import until

NEXT = "v720/index.m3u8?_HLS_msn=1&_HLS_part=0"


async def test_a_drain_ends_blocked_requests_with_their_answer_and_idle_connections_at_once(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge() as edge:
        idle, idle_writer = await wire.connect(edge.url)
        idle_writer.write(wire.request(ticket("main.m3u8")))
        await wire.read_answer(idle)
        blocked, blocked_writer = await wire.connect(edge.url)
        blocked_writer.write(wire.request(ticket(NEXT)))
        await origin.until_waiting(1)

        edge.signal()
        await edge.until_ready(ready=False)
        assert await wire.until_closed(idle, timeout_s=5) == b""
        await origin.publish(1, 0)
        answer = await wire.read_answer(blocked)
        status = await edge.exit_status(timeout_s=5)
        for writer in (idle_writer, blocked_writer):
            writer.close()

    assert (answer.status, answer.headers["connection"], status) == (200, "close", 0)


async def test_requests_that_never_end_are_sent_elsewhere_before_the_deadline(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge(DRAIN_LIMIT_S="2") as edge:
        waiting = asyncio.create_task(edge.ask(ticket(NEXT)))
        await origin.until_waiting(1)

        edge.signal()
        answer = await waiting
        status = await edge.exit_status(timeout_s=5)

    assert (answer.status, answer.headers["retry-after"], status) == (503, "1", 0)
    assert json.loads(answer.body)["reason"] == "DRAINING"


async def test_it_serves_on_during_the_notice_and_says_that_it_drains(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge(DRAIN_NOTICE_S="30", REPORT_MS="60000") as edge:

        async def reported() -> bool:
            return bool((await edge.stats())["load"]["draining"])

        edge.signal()
        await edge.until_ready(ready=False)
        answer = await edge.ask(ticket("main.m3u8"))
        await until(reported)
        load = (await edge.stats())["load"]

        edge.signal()
        status = await edge.exit_status(timeout_s=5)

    assert answer.status == 200
    assert load["phase"] == "notice", "reported at once, not with the next minute's report"
    assert status == 130, "a second signal ends it at once"


async def test_a_client_that_reads_nothing_does_not_stretch_the_deadline(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge(DRAIN_LIMIT_S="1") as edge:
        _, writer = await wire.connect(edge.url)
        writer.write(wire.request(ticket("main.m3u8"))[:-2])
        await edge.until_connections(1)

        edge.signal()
        start = time.monotonic()
        status = await edge.exit_status(timeout_s=10)
        writer.close()

    assert status == 0
    assert time.monotonic() - start < 5


async def test_a_drain_that_was_ordered_waits_for_its_signal_to_end_the_process(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge() as edge:
        order = await edge.admin_post("/drain", {})
        await edge.until_ready(ready=False)
        await _until_refused(edge)
        await edge.until_logged("edge.drained")
        still_there = (await edge.admin_get("/livez")).status

        edge.signal()
        status = await edge.exit_status(timeout_s=5)

    assert json.loads(order.body) == {"phase": "notice"}
    assert (still_there, status) == (200, 0)


async def test_a_drain_ordered_with_exit_ends_the_process_itself(start_edge: StartEdge) -> None:
    async with start_edge() as edge:
        await edge.admin_post("/drain", {"exit": True})

        assert await edge.exit_status(timeout_s=5) == 0


async def test_the_next_edge_takes_over_the_port_before_this_one_leaves(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge() as old:
        address = str(old.ready["listen"][0])
        async with start_edge(LISTEN=address) as new:
            old.signal()
            await old.exit_status(timeout_s=5)
            statuses = [(await new.ask(ticket("main.m3u8"))).status for _ in range(20)]

    assert set(statuses) == {200}


async def test_sigint_leaves_without_notice(start_edge: StartEdge) -> None:
    async with start_edge(DRAIN_NOTICE_S="60") as edge:
        edge.signal(signal.SIGINT)

        assert await edge.exit_status(timeout_s=5) == 0


async def test_over_h2_a_drain_says_goaway_and_finishes_what_is_under_way(
    start_edge: StartEdge,
    origin: Origin,
    ticket: Ticket,
    certificate: Path,
    trusting: ssl.SSLContext,
) -> None:
    async with start_edge(TLS_CERT=str(certificate), TLS_KEY=str(certificate)) as edge:
        client = await H2Client.connect(edge.url, trusting)
        stream = await client.get(ticket(NEXT))
        await origin.until_waiting(1)

        edge.signal()
        await client.until_goaway()
        await origin.publish(1, 0)
        answer = await client.answer(stream)
        status = await edge.exit_status(timeout_s=5)
        client.close()

    assert (answer.status, status) == (200, 0)
    assert client.goaway_error == 0


async def _until_refused(edge: Edge) -> None:
    async def refused() -> bool:
        try:
            _, writer = await wire.connect(edge.url)
        except ConnectionRefusedError:
            return True
        writer.close()
        return False

    await until(refused)
