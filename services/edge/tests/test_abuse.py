"""Clients that want to hurt: slow ones, resetting ones, flooding ones."""

import asyncio
import socket
import ssl
import time
from pathlib import Path

import pytest
from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.h2client import H2Client, frame
from odeon_testkit.origin import Origin, Reply

HEADERS, RST_STREAM, SETTINGS, PING, CONTINUATION = 1, 3, 4, 6, 9
END_STREAM_AND_HEADERS = 5


@pytest.fixture
def tls(certificate: Path) -> dict[str, str]:
    return {"TLS_CERT": str(certificate), "TLS_KEY": str(certificate)}


async def serves(edge: Edge, client: H2Client, path: str) -> bool:
    answer = await client.answer(await client.get(path))
    client.close()
    return answer.status == 200


async def test_a_head_that_trickles_in_is_cut_off(start_edge: StartEdge) -> None:
    async with start_edge(HEAD_TIMEOUT_S="1") as edge:
        reader, writer = await wire.connect(edge.url)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        start = time.monotonic()

        async def trickle() -> None:
            while not writer.is_closing():
                writer.write(b"a")
                await asyncio.sleep(0.2)

        trickling = asyncio.create_task(trickle())
        await wire.until_closed(reader, timeout_s=20)
        trickling.cancel()
        writer.close()

    assert time.monotonic() - start >= 1


async def test_an_idle_connection_outlives_the_limit_for_heads(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge(HEAD_TIMEOUT_S="0.5", IDLE_TIMEOUT_S="20") as edge:
        reader, writer = await wire.connect(edge.url)
        for _ in range(2):
            writer.write(wire.request(ticket("main.m3u8")))
            assert (await wire.read_answer(reader)).status == 200
            await asyncio.sleep(1.0)  # twice the limit for heads
        assert not reader.at_eof()
        writer.close()


async def test_a_silent_connection_is_closed(start_edge: StartEdge) -> None:
    async with start_edge(HEAD_TIMEOUT_S="0.5") as edge:
        reader, writer = await wire.connect(edge.url)
        assert await wire.until_closed(reader, timeout_s=5) == b""
        writer.close()


async def test_a_kept_alive_connection_is_closed_when_it_idles(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge(IDLE_TIMEOUT_S="0.5") as edge:
        reader, writer = await wire.connect(edge.url)
        writer.write(wire.request(ticket("main.m3u8")))
        await wire.read_answer(reader)
        assert await wire.until_closed(reader, timeout_s=5) == b""
        writer.close()


async def test_a_reader_that_stops_reading_is_cut_off(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    size = 16 << 20
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(size))
    async with start_edge(WRITE_TIMEOUT_S="1") as edge:
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        host, port = edge.url.removeprefix("http://").split(":")
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, (host, int(port)))
        await loop.sock_sendall(client, wire.request(ticket("v720/s1.m4s")))
        await loop.sock_recv(client, 100)

        await edge.until_connections(0)
        client.close()


async def test_a_tls_client_that_says_nothing_is_closed(
    start_edge: StartEdge, tls: dict[str, str]
) -> None:
    async with start_edge(**tls) as edge:
        reader, writer = await wire.connect(edge.url)
        start = time.monotonic()
        await wire.until_closed(reader, timeout_s=25)
        writer.close()

    assert time.monotonic() - start > 3, "an honest handshake over a bad link still fits"


async def test_opening_and_resetting_streams_ends_the_connection_early(
    start_edge: StartEdge,
    origin: Origin,
    ticket: Ticket,
    tls: dict[str, str],
    trusting: ssl.SSLContext,
) -> None:
    async with start_edge(**tls) as edge:
        client = await H2Client.connect(edge.url, trusting)
        head = client.head(ticket("v720/index.m3u8?_HLS_msn=1"))
        sent = 0
        try:
            while sent < 20_000 and not client.is_over:
                batch = b""
                for _ in range(50):
                    stream = 2 * sent + 1
                    batch += frame(HEADERS, END_STREAM_AND_HEADERS, stream, head)
                    batch += frame(RST_STREAM, 0, stream, b"\0\0\0\x08")
                    sent += 1
                await client.send_raw(batch)
        except ConnectionError:
            pass
        await client.until_over()
        other = await H2Client.connect(edge.url, trusting)
        still_serves = await serves(edge, other, ticket("main.m3u8"))

    assert sent < 20_000
    assert len(origin.asked) <= 2
    assert still_serves


@pytest.mark.parametrize("kind", ["continuation", "ping", "settings"])
async def test_a_flood_of_frames_ends_or_starves_nobody(
    start_edge: StartEdge, ticket: Ticket, tls: dict[str, str], trusting: ssl.SSLContext, kind: str
) -> None:
    async with start_edge(**tls) as edge:
        client = await H2Client.connect(edge.url, trusting)
        if kind == "continuation":
            await client.send_raw(frame(HEADERS, 1, 1, b"\x82"))
        one = {
            "continuation": frame(CONTINUATION, 0, 1, b"\x00\x01a\x7f\x81\x07" + b"b" * 256),
            "ping": frame(PING, 0, 0, b"12345678"),
            "settings": frame(SETTINGS, 0, 0, b""),
        }[kind]
        try:
            for _ in range(200):
                await client.send_raw(one * 100)
                if client.is_over:
                    break
        except ConnectionError:
            pass
        if kind == "continuation":
            await client.until_over()
        other = await H2Client.connect(edge.url, trusting)
        assert await serves(edge, other, ticket("main.m3u8"))
        client.close()


async def test_a_stream_whose_window_stays_shut_ends_with_its_connection(
    start_edge: StartEdge,
    origin: Origin,
    ticket: Ticket,
    tls: dict[str, str],
    trusting: ssl.SSLContext,
) -> None:
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(1 << 20))
    settings = {**tls, "IDLE_TIMEOUT_S": "0.5", "WRITE_TIMEOUT_S": "1"}
    async with start_edge(**settings) as edge:
        client = await H2Client.connect(edge.url, trusting, open_windows=False)
        await client.get(ticket("v720/s1.m4s"))

        await edge.until_connections(0)
        client.close()
