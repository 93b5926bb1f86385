import asyncio
from collections.abc import AsyncIterator

import pytest
from odeon_testkit.impair import Link, udp_relay


class Echo(asyncio.DatagramProtocol):
    """Answers each datagram with itself and remembers who sent it."""

    def __init__(self) -> None:
        self.senders: set[tuple[str, int]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.senders.add(addr)
        self.transport.sendto(data, addr)  # type: ignore[attr-defined]


class Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.got.put_nowait(data)


async def endpoint(
    protocol: asyncio.DatagramProtocol, **where: tuple[str, int]
) -> asyncio.DatagramTransport:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: protocol, **where)  # type: ignore[arg-type]
    return transport


@pytest.fixture
async def echo() -> AsyncIterator[Echo]:
    echo = Echo()
    transport = await endpoint(echo, local_addr=("127.0.0.1", 0))
    yield echo
    transport.close()


def address(echo: Echo) -> tuple[str, int]:
    return echo.transport.get_extra_info("sockname")  # type: ignore[no-any-return]


async def test_each_peer_has_an_address_of_its_own_at_the_server(echo: Echo) -> None:
    async with udp_relay(address(echo)) as relay:
        peers = [Peer(), Peer()]
        for number, peer in enumerate(peers):
            transport = await endpoint(peer, remote_addr=relay.address)
            transport.sendto(b"hello %d" % number)
        answers = [await asyncio.wait_for(peer.got.get(), 5) for peer in peers]

    assert answers == [b"hello 0", b"hello 1"]
    assert len(echo.senders) == 2


async def test_a_limited_link_delivers_at_its_rate_in_order(echo: Echo) -> None:
    loop = asyncio.get_running_loop()
    async with udp_relay(address(echo), Link(rate_bps=80_000, queue_s=10)) as relay:
        peer = Peer()
        transport = await endpoint(peer, remote_addr=relay.address)
        start = loop.time()
        for number in range(10):
            transport.sendto(bytes([number]) * 500)
        got = [(await asyncio.wait_for(peer.got.get(), 5))[0] for _ in range(10)]
        took = loop.time() - start

    assert got == list(range(10))
    assert took >= 0.45  # ten times 500 bytes at 80 kb/s are half a second


async def test_a_full_queue_drops_and_counts(echo: Echo) -> None:
    async with udp_relay(address(echo), Link(rate_bps=8_000, queue_s=0.1)) as relay:
        peer = Peer()
        transport = await endpoint(peer, remote_addr=relay.address)
        for _ in range(20):
            transport.sendto(bytes(200))
        await asyncio.wait_for(peer.got.get(), 5)

        assert relay.stats.dropped > 10
