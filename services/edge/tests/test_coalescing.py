"""One fetch for all: herds, leavers, restarts of the origin."""

import asyncio
import time

from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.origin import Asked, Origin, Reply
from odeon_testkit.origin import origin as running_origin

NEXT = "v720/index.m3u8?_HLS_msn=1&_HLS_part=0"


async def test_three_hundred_blocked_viewers_cause_one_request_each_for_playlist_and_part(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    async def viewer(number: int) -> tuple[int, bytes]:
        sid = f"viewer-{number}"
        await edge.ask(ticket(NEXT, sid=sid))
        part = await edge.ask(ticket("v720/p1.0.m4s", sid=sid))
        return part.status, part.body

    origin.objects["/acme/launch/v720/p1.0.m4s"] = Reply(200, b"media" * 4000)
    herd = [asyncio.create_task(viewer(number)) for number in range(300)]
    await origin.until_waiting(1)
    await edge.until_joined(299)
    assert origin.waiting == 1
    await origin.publish(1, 0)

    answers = await asyncio.gather(*herd)

    assert set(answers) == {(200, b"media" * 4000)}
    assert list(origin.count().values()) == [1, 1]


async def test_a_viewer_who_leaves_takes_nothing_away_from_the_others(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    _, first = await wire.connect(edge.url)
    first.write(wire.request(ticket(NEXT, sid="first")))
    await origin.until_waiting(1)
    second = asyncio.create_task(edge.ask(ticket(NEXT, sid="second")))
    await edge.until_joined(1)

    first.transport.abort()
    await edge.until_connections(1)
    await origin.publish(1, 0)

    assert (await second).status == 200
    assert len(origin.asked) == 1


async def test_a_restart_of_the_origin_does_not_end_a_blocked_reload(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    waiting = asyncio.create_task(edge.ask(ticket(NEXT)))
    await origin.until_waiting(1)

    await origin.kill()
    await asyncio.sleep(0.5)  # the outage itself, not a wait for something
    await origin.start()
    await origin.until_waiting(1)
    await origin.publish(1, 0)

    answer = await waiting
    assert answer.status == 200
    assert b"NEWEST:1.0" in answer.body


async def test_cached_parts_and_playlists_outlive_the_origin(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    origin.objects["/acme/launch/v720/p0.0.m4s"] = Reply(200, b"media")
    async with start_edge(ORIGIN_RETRY_S="0.2") as edge:
        for path in ("v720/p0.0.m4s", "v720/index.m3u8"):
            assert (await edge.ask(ticket(path))).status == 200
        await origin.kill()
        await asyncio.sleep(0.3)  # the playlist is stale now

        part = await edge.ask(ticket("v720/p0.0.m4s"))
        playlist = await edge.ask(ticket("v720/index.m3u8"))
        unknown = await edge.ask(ticket("v720/p0.1.m4s"))
        stats = await edge.stats()
        ready = await edge.admin_get("/readyz")

    assert [part.status, playlist.status, unknown.status] == [200, 200, 502]
    assert stats["cache"]["stale"] == 1
    assert ready.status == 200, "a lost origin does not change readiness"


async def test_a_second_address_takes_over_from_a_dead_one(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with running_origin() as second:
        for server in (origin, second):
            server.objects["/acme/launch/v720/p0.0.m4s"] = Reply(200, str(server.port).encode())
        async with start_edge(ORIGIN=f"{origin.url},{second.url}") as edge:
            await origin.kill()
            answer = await edge.ask(ticket("v720/p0.0.m4s"))

    assert answer.body == str(second.port).encode()


async def test_a_missing_part_is_asked_for_at_most_four_times_a_second(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    start = time.monotonic()
    while time.monotonic() < start + 1:
        assert (await edge.ask(ticket("v720/p7.0.m4s"))).status == 404

    elapsed = time.monotonic() - start
    assert 1 < len(origin.asked) <= elapsed / 0.25 + 1


async def test_a_part_that_appears_is_served_although_it_was_missing_just_now(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    assert (await edge.ask(ticket("v720/p7.0.m4s"))).status == 404
    origin.objects["/acme/launch/v720/p7.0.m4s"] = Reply(200, b"media")

    await edge.until_answered(ticket("v720/p7.0.m4s"), 200, timeout_s=2)


async def test_an_origin_that_breaks_off_its_body_is_asked_again(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    tries = 0

    async def breaking(asked: Asked) -> Reply:
        nonlocal tries
        tries += 1
        announced = {"Content-Length": "100", "Connection": "close"} if tries == 1 else {}
        if tries == 1:
            asyncio.get_running_loop().call_later(0.1, lambda: [t.cancel() for t in server._tasks])
        return Reply(200, b"media", announced)

    async with running_origin(breaking) as server, start_edge(ORIGIN=server.url) as edge:
        answer = await edge.ask(ticket("v720/p0.0.m4s"))

    assert (answer.status, answer.body, tries) == (200, b"media", 2)


async def test_a_purge_makes_the_origin_be_asked_anew(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    origin.objects["/acme/launch/v720/p0.0.m4s"] = Reply(200, b"old")
    await edge.ask(ticket("v720/p0.0.m4s"))
    origin.objects["/acme/launch/v720/p0.0.m4s"] = Reply(200, b"new")
    assert (await edge.ask(ticket("v720/p0.0.m4s"))).body == b"old"

    order = await edge.admin_post("/purge", {"tenant": "acme", "event": "launch"})

    assert order.body == b'{"purged":1}\n'
    assert (await edge.ask(ticket("v720/p0.0.m4s"))).body == b"new"


async def test_one_event_that_asks_for_everything_leaves_room_for_the_others(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge(EVENT_FLIGHTS="2") as edge:
        held = [
            asyncio.create_task(edge.ask(ticket(f"v{n}/index.m3u8?_HLS_msn=1"))) for n in (1, 2)
        ]
        await origin.until_waiting(2)

        third = await edge.ask(ticket("v3/index.m3u8?_HLS_msn=1"))
        other = await edge.ask(ticket("v1/index.m3u8", event="other"))
        await origin.publish(1, 0)
        await asyncio.gather(*held)

    assert (third.status, third.headers["retry-after"], other.status) == (503, "1", 200)
