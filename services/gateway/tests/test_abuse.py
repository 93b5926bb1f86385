"""Clients of the public HTTP port that want to hurt: greedy ones, slow ones, many at once."""

import asyncio
import socket
import time
from pathlib import Path

import pytest
from odeon_testkit import wire
from odeon_testkit.wait import until
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from .conftest import World, running

HEALTH = wire.request("/healthz")


async def serves(world: World) -> bool:
    return (await wire.ask(world.http, "/healthz")).status == 200


async def test_an_endless_header_is_cut_off_after_little(world: World) -> None:
    reader, writer = await wire.connect(world.http)
    writer.write(b"GET / HTTP/1.1\r\nX: ")
    sent = 0
    closed = asyncio.create_task(wire.until_closed(reader, timeout_s=30))
    try:
        while sent < 60 << 20 and not closed.done():
            writer.write(b"a" * 65536)
            sent += 65536
            await writer.drain()
    except ConnectionError:
        pass
    await closed

    # What the sockets' buffers hold on both ends is out of the server's hands.
    assert sent < 16 << 20
    assert await serves(world)


@pytest.mark.parametrize("kind", ["one long header", "many headers", "long target"])
async def test_a_head_beyond_the_limit_is_refused(world: World, kind: str) -> None:
    headers, target = {}, "/healthz"
    match kind:
        case "one long header":
            headers = {"X-Long": "a" * 40_000}
        case "many headers":
            headers = {f"X-{number}": "a" for number in range(6000)}
        case "long target":
            target += "?" + "a" * 40_000

    answer = await wire.ask(world.http, target, headers=headers)

    assert answer.status == 431


async def test_trailers_count_like_a_head(world: World) -> None:
    reader, writer = await wire.connect(world.http)
    head = {"Transfer-Encoding": "chunked", **world.bearer()}
    writer.write(
        wire.request("/odeon.room.v1.RoomService/GetEvent", method="POST", headers=head)
        + b"2\r\n{}\r\n0\r\n"
        + b"X-Trailer: a\r\n" * 4000
    )

    assert b" 431 " in await wire.until_closed(reader, timeout_s=10)
    writer.close()


async def test_a_head_that_trickles_in_is_cut_off() -> None:
    async with running(head_timeout_s=1) as world:
        reader, writer = await wire.connect(world.http)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        start = time.monotonic()

        async def trickle() -> None:
            while not writer.is_closing():
                writer.write(b"a")
                await asyncio.sleep(0.2)

        trickling = asyncio.create_task(trickle())
        received = await wire.until_closed(reader, timeout_s=20)
        trickling.cancel()
        writer.close()

    assert time.monotonic() - start >= 1
    assert received.startswith(b"HTTP/1.1 408 ")


async def test_a_silent_connection_is_closed_without_a_word() -> None:
    async with running(head_timeout_s=0.5) as world:
        reader, writer = await wire.connect(world.http)
        assert await wire.until_closed(reader, timeout_s=10) == b""
        writer.close()


async def test_a_second_head_that_never_ends_is_cut_off() -> None:
    async with running(head_timeout_s=0.5) as world:
        reader, writer = await wire.connect(world.http)
        writer.write(HEALTH)
        assert (await wire.read_answer(reader)).status == 200
        writer.write(b"\r\n")  # lawful before a request line, and no head yet
        assert b" 408 " in await wire.until_closed(reader, timeout_s=10)
        writer.close()


async def test_an_idle_connection_outlives_the_limit_for_heads() -> None:
    async with running(head_timeout_s=0.3) as world:
        reader, writer = await wire.connect(world.http)
        for _ in range(2):
            writer.write(HEALTH)
            assert (await wire.read_answer(reader)).status == 200
            await asyncio.sleep(0.9)  # three times the limit for heads
        assert not reader.at_eof()
        writer.close()


async def test_a_body_that_stops_is_cut_off() -> None:
    async with running(stall_timeout_s=0.5) as world:
        reader, writer = await wire.connect(world.http)
        head = {"Content-Length": "100", "Content-Type": "application/json", **world.bearer()}
        call = "/odeon.room.v1.RoomService/GetEvent"
        writer.write(wire.request(call, method="POST", headers=head) + b"{")
        assert b" 408 " in await wire.until_closed(reader, timeout_s=10)
        writer.close()


async def test_a_reader_that_stops_reading_is_cut_off(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<html></html>")
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "large.js").write_bytes(bytes(32 << 20))
    async with running(stall_timeout_s=1, max_connections=1, web_root=tmp_path) as world:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        host, port = world.http.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (host, int(port)))
        await loop.sock_sendall(client, wire.request("/assets/large.js"))
        assert b" 200 " in await loop.sock_recv(client, 100)

        await until(lambda: serves(world), timeout_s=20)
        client.close()


async def test_connections_beyond_the_limit_are_told_to_come_back() -> None:
    async with running(max_connections=3) as world:
        open_ones = [await wire.connect(world.http) for _ in range(3)]
        for reader, writer in open_ones:
            writer.write(HEALTH)
            assert (await wire.read_answer(reader)).status == 200

        refused = await wire.ask(world.http, "/healthz")
        open_ones[0][1].close()
        await until(lambda: serves(world))
        for _, writer in open_ones[1:]:
            writer.close()

    assert refused.status == 503


async def test_a_stage_takes_a_place_among_the_connections() -> None:
    async with running(max_connections=1) as world:
        stage = f"{world.http.replace('http', 'ws')}/stage"
        async with connect(stage, subprotocols=[Subprotocol("odeon.stage.v1")]):
            refused = await wire.ask(world.http, "/healthz")

    assert refused.status == 503
