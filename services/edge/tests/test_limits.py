"""Limits per session, per address and of the process."""

import asyncio
import json
import time
from typing import Any

from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.origin import Origin, Reply
from odeon_testkit.wait import until

NEXT = "v720/index.m3u8?_HLS_msn=1&_HLS_part=0"


async def test_a_session_that_asks_too_often_is_told_when_to_come_back(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge(VIEWER_RATE="20") as edge:
        answers = await _burst(edge, [ticket("main.m3u8", sid="busy")] * 30)
        other = await edge.ask(ticket("main.m3u8", sid="calm"))

    refused = [answer for answer in answers if answer.status == 429]
    assert 5 <= len(refused) <= 10
    assert refused[0].headers["retry-after"] == "1"
    assert json.loads(refused[0].body)["reason"] == "VIEWER_RATE_EXCEEDED"
    assert other.status == 200


async def test_a_session_may_block_only_so_many_requests(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge(VIEWER_CONCURRENCY="3") as edge:
        held = [asyncio.create_task(edge.ask(ticket(NEXT, sid="greedy"))) for _ in range(5)]
        refused = 0
        while refused < 2:
            done, _ = await asyncio.wait(held, return_when=asyncio.FIRST_COMPLETED)
            refused = len(done)
        await origin.publish(1, 0)
        answers = await asyncio.gather(*held)
        again = await edge.ask(ticket("main.m3u8", sid="greedy"))

    assert sorted(answer.status for answer in answers) == [200, 200, 200, 429, 429]
    assert again.status == 200, "a slot comes back with its answer"


async def test_an_answer_that_is_not_read_keeps_its_slot(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    large = 16 << 20
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(large))
    async with start_edge(VIEWER_CONCURRENCY="1") as edge:
        reader, writer = await wire.connect(edge.url)
        writer.write(wire.request(ticket("v720/s1.m4s", sid="slow")))
        await reader.readexactly(1000)

        while_reading = await edge.ask(ticket("main.m3u8", sid="slow"))
        while len(await reader.read(1 << 20)) and (await edge.stats())["load"]["connections"]:
            if (await edge.ask(ticket("main.m3u8", sid="slow"))).status == 200:
                break
        writer.close()

    assert while_reading.status == 429


async def test_an_address_may_ask_only_so_often(start_edge: StartEdge, ticket: Ticket) -> None:
    async with start_edge(SOURCE_RATE="20") as edge:
        paths = [ticket("main.m3u8", sid=f"s{number}") for number in range(40)]
        statuses = [answer.status for answer in await _burst(edge, paths)]

    assert 429 in statuses


async def test_connections_beyond_a_limit_are_closed_and_the_others_stay(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    for setting in ("SOURCE_CONNECTIONS", "MAX_CONNECTIONS"):
        async with start_edge(**{setting: "5"}) as edge:
            kept = [await wire.connect(edge.url) for _ in range(5)]
            for reader, writer in kept:
                writer.write(wire.request(ticket("main.m3u8")))
                assert (await wire.read_answer(reader)).status == 200

            reader, writer = await wire.connect(edge.url)
            assert await wire.until_closed(reader, timeout_s=5) == b""
            writer.close()

            kept[0][1].close()
            await edge.until_connections(4)
            assert (await edge.ask(ticket("main.m3u8"))).status == 200
            for _, writer in kept:
                writer.close()


async def test_viewers_and_egress_are_counted_per_event(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(1000))
    origin.objects["/acme/gala/v720/s1.m4s"] = Reply(200, bytes(500))
    async with start_edge(REPORT_MS="100", VIEWER_WINDOW_S="1") as edge:
        for event, sids in (("launch", "abc"), ("gala", "a")):
            for sid in sids:
                await edge.ask(ticket("v720/s1.m4s", sid=sid, event=event))
        counts = await _counts(edge, viewers=4)
        start = time.monotonic()
        await _counts(edge, viewers=0)
        gone_after = time.monotonic() - start

    assert counts == {"launch": (3, 3000), "gala": (1, 500)}
    assert gone_after < 5


async def _burst(edge: Edge, paths: list[str]) -> list[wire.Answer]:
    """Requests that arrive together, so that no pause of this machine spreads them over seconds."""
    reader, writer = await wire.connect(edge.url)
    writer.write(b"".join(wire.request(path) for path in paths))
    answers = [await wire.read_answer(reader) for _ in paths]
    writer.close()
    return answers


async def _counts(edge: Edge, *, viewers: int) -> dict[str, tuple[int, int]]:
    load: dict[str, Any] = {}

    async def counted() -> bool:
        load.update((await edge.stats())["load"])
        return bool(load["viewers"] == viewers)

    await until(counted)
    return {e["event"]: (e["viewers"], e["egress_bytes_total"]) for e in load["events"]}
