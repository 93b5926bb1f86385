"""A UDP relay that behaves like a bad link: limited rate, delay, jitter, loss.

Peers that are told the relay's address talk to the server through it; every peer gets an upstream
socket of its own, so that the server tells them apart. Runs in the caller's event loop.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import cast

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Link:
    """How the way from the server to the peers behaves; the way back is only delayed.

    Attributes:
        rate_bps: bits per second; None is unlimited.
        delay_s: one way, both ways.
        jitter_s: added at random, evenly, without reordering.
        loss: share of packets dropped, 0 to 1.
        queue_s: longest wait at the bottleneck before packets are dropped.
    """

    rate_bps: float | None = None
    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    queue_s: float = 0.3


@dataclass(slots=True)
class LinkStats:
    """What went through, towards the peers."""

    packets: int = 0
    bytes: int = 0
    dropped: int = 0


@dataclass(slots=True)
class _Bottleneck:
    """When the link is free again, and when the last packet is delivered (keeps the order)."""

    free_at: float = 0.0
    last_at: float = 0.0


class _Upstream(asyncio.DatagramProtocol):
    """One peer's socket towards the server."""

    def __init__(self, relay: "Relay", peer: Address) -> None:
        self._relay = relay
        self._peer = peer
        self.transport: asyncio.DatagramTransport | None = None
        self.early: deque[bytes] = deque(maxlen=64)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        while self.early:
            self.transport.sendto(self.early.popleft())

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self._relay.towards_peer(self._peer, data)

    def send(self, data: bytes) -> None:
        if self.transport is None:
            self.early.append(data)
        else:
            self.transport.sendto(data)


@dataclass
class Relay(asyncio.DatagramProtocol):
    """The relay's public socket. Change `link` at any time; it holds from the next packet."""

    server: Address
    link: Link = field(default_factory=Link)
    stats: LinkStats = field(default_factory=LinkStats)
    seed: int = 7
    _public: asyncio.DatagramTransport | None = None
    _peers: dict[Address, _Upstream] = field(default_factory=dict)
    _bottleneck: _Bottleneck = field(default_factory=_Bottleneck)
    _random: random.Random = field(init=False)
    _opening: set[asyncio.Task[object]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)

    @property
    def address(self) -> Address:
        """Where peers send."""
        assert self._public is not None
        host, port = self._public.get_extra_info("sockname")[:2]
        return (str(host), int(port))

    def change(self, **values: float | None) -> None:
        """Change the named properties of the link, the others stay."""
        self.link = replace(self.link, **values)  # type: ignore[arg-type]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The public socket is open."""
        self._public = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """A packet of a peer: pass it on from that peer's own socket."""
        upstream = self._peers.get(addr)
        if upstream is None:
            upstream = self._peers[addr] = _Upstream(self, addr)
            task = asyncio.create_task(self._open(upstream), name=f"relay-{addr}")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)
        loop = asyncio.get_running_loop()
        loop.call_later(self.link.delay_s, upstream.send, data)

    def towards_peer(self, peer: Address, data: bytes) -> None:
        """Queue a packet of the server for a peer, or drop it."""
        loop = asyncio.get_running_loop()
        now, link, neck = loop.time(), self.link, self._bottleneck
        start = max(now, neck.free_at)
        if self._random.random() < link.loss or start - now > link.queue_s:
            self.stats.dropped += 1
            return
        neck.free_at = start + (len(data) * 8 / link.rate_bps if link.rate_bps else 0.0)
        jitter = self._random.random() * link.jitter_s
        neck.last_at = max(neck.last_at, neck.free_at + link.delay_s + jitter)
        self.stats.packets += 1
        self.stats.bytes += len(data)
        loop.call_at(neck.last_at, self._deliver, peer, data)

    def close(self) -> None:
        """Close every socket."""
        for upstream in self._peers.values():
            if upstream.transport is not None:
                upstream.transport.close()
        if self._public is not None:
            self._public.close()

    async def _open(self, upstream: _Upstream) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: upstream, remote_addr=self.server)

    def _deliver(self, peer: Address, data: bytes) -> None:
        if self._public is not None and not self._public.is_closing():
            self._public.sendto(data, peer)


def kind_of(packet: bytes) -> str:
    """STUN, DTLS or media, by the first byte (RFC 7983)."""
    first = packet[0] if packet else 255
    return "stun" if first < 4 else "dtls" if 20 <= first < 64 else "media"


EVERYTHING = frozenset({"stun", "dtls", "media"})


class Filter(Relay):
    """A relay that lets only some kinds of packets through; change `passing` at any time."""

    passing: frozenset[str] = EVERYTHING

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """A packet of a peer."""
        if kind_of(data) in self.passing:
            super().datagram_received(data, addr)

    def towards_peer(self, peer: Address, data: bytes) -> None:
        """A packet of the server."""
        if kind_of(data) in self.passing:
            super().towards_peer(peer, data)


@asynccontextmanager
async def udp_filter() -> AsyncIterator[Filter]:
    """A filter on a free loopback port; set its `server` once that is known."""
    path = Filter(("127.0.0.1", 9))
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: path, local_addr=("127.0.0.1", 0))
    try:
        yield path
    finally:
        path.close()


@asynccontextmanager
async def udp_relay(server: Address, link: Link | None = None) -> AsyncIterator[Relay]:
    """A relay in front of `server` on a free loopback port."""
    relay = Relay(server, link or Link())
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: relay, local_addr=("127.0.0.1", 0))
    try:
        yield relay
    finally:
        relay.close()
