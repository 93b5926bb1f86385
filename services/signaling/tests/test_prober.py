"""The prober against real nodes: good ones, dead ones, ones that accept joins and drop media."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import signaling_pb2
from odeon_runtime.grpc_client import Peers
from odeon_signaling.prober.app import Prober
from odeon_signaling.prober.settings import ProberSettings
from odeon_testkit.impair import Address, Relay
from odeon_testkit.issuer import SERVICE_SECRET

from .conftest import World, eventually, running

PASSES_NOTHING: frozenset[str] = frozenset()


def kind_of(packet: bytes) -> str:
    """STUN, DTLS or media, by the first byte (RFC 7983)."""
    first = packet[0] if packet else 255
    return "stun" if first < 4 else "dtls" if 20 <= first < 64 else "media"


class Filter(Relay):
    """A path that lets only some kinds of packets through."""

    passing: frozenset[str] = PASSES_NOTHING

    def datagram_received(self, data: bytes, addr: Address) -> None:
        if kind_of(data) in self.passing:
            super().datagram_received(data, addr)

    def towards_peer(self, peer: Address, data: bytes) -> None:
        if kind_of(data) in self.passing:
            super().towards_peer(peer, data)


@asynccontextmanager
async def node_behind(*passing: str) -> AsyncIterator[World]:
    """A node that peers reach only through a filter."""
    path = Filter(("127.0.0.1", 9))
    path.passing = frozenset(passing)
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: path, local_addr=("127.0.0.1", 0))
    host, port = path.address
    try:
        async with running(advertise=(f"{host}:{port}",)) as world:
            path.server = ("127.0.0.1", int(world.media_port))
            yield world
    finally:
        path.close()


@asynccontextmanager
async def prober(world: World, timeout_s: float = 3.0) -> AsyncIterator[Prober]:
    settings = ProberSettings(
        auth_address=world.auth_address,
        room_address=world.room_address,
        service_secret=SERVICE_SECRET,
        timeout_s=timeout_s,
    )
    peers = Peers("prober", settings)
    try:
        yield Prober(peers, settings)
    finally:
        await peers.close()


async def test_media_goes_through_a_good_node_and_room_hears_it(world: World) -> None:
    async with prober(world, 10.0) as probe:
        verdicts = await probe.round()

    assert verdicts["n1"].ok, verdicts
    (report,) = world.room.probes["nodes/n1"]
    assert report.ok
    assert report.time_to_first_rtp.ToMilliseconds() > 0


async def test_a_probe_leaves_no_trace(world: World) -> None:
    async with prober(world, 10.0) as probe:
        await probe.round()

    assert not world.room.reports
    await eventually(
        lambda: world.stub.GetNodeStats(signaling_pb2.GetNodeStatsRequest()),
        lambda stats: not stats.sessions,
    )
    assert world.room.active["nodes/n1"] == []
    assert world.room.nodes["nodes/n1"].sessions == 0


@pytest.mark.parametrize(
    ("passing", "stage"),
    [((), "ice"), (("stun",), "dtls"), (("stun", "dtls"), "rtp")],
    ids=["drops everything", "drops DTLS", "drops media"],
)
async def test_a_node_that_accepts_joins_but_drops_packets_is_found(
    passing: tuple[str, ...], stage: str
) -> None:
    async with node_behind(*passing) as world, prober(world) as probe:
        verdicts = await probe.round()

        assert verdicts["n1"].failed_stage == stage
        (report,) = world.room.probes["nodes/n1"]
        assert (report.ok, report.failed_stage) == (False, stage)


async def test_a_node_that_does_not_answer_fails_at_the_join(world: World) -> None:
    world.room.nodes["nodes/gone"] = room_pb2.Node(name="nodes/gone", grpc_address="127.0.0.1:1")
    async with prober(world) as probe:
        verdicts = await probe.round()

    assert verdicts["gone"].failed_stage == "join"
    assert verdicts["n1"].ok
