"""The prober against real nodes: good ones, dead ones, ones that accept joins and drop media."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import Context, GrpcServer
from odeon_signaling.prober.app import Prober
from odeon_signaling.prober.settings import ProberSettings
from odeon_testkit.impair import udp_filter
from odeon_testkit.issuer import SERVICE_SECRET

from .conftest import World, eventually, running, until


@asynccontextmanager
async def node_behind(*passing: str) -> AsyncIterator[World]:
    """A node that peers reach only through a filter."""
    async with udp_filter() as path:
        path.passing = frozenset(passing)
        host, port = path.address
        async with running(advertise=(f"{host}:{port}",)) as world:
            path.server = ("127.0.0.1", int(world.media_port))
            yield world


class Silent(signaling_pb2_grpc.SignalingServiceServicer):
    """Takes a publisher's call and never answers."""

    async def Publish(
        self, request: signaling_pb2.PublishRequest, context: Context
    ) -> signaling_pb2.PublishResponse:
        await asyncio.Event().wait()
        raise AssertionError


@asynccontextmanager
async def silent_node(world: World) -> AsyncIterator[str]:
    """The gRPC address of a node that takes calls and keeps silent."""
    add = signaling_pb2_grpc.add_SignalingServiceServicer_to_server
    descriptor = signaling_pb2.DESCRIPTOR.services_by_name["SignalingService"]
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        verifier=world.issuer.verifier,
        services=[(add, Silent(), descriptor)],  # type: ignore[abstract]
        domain="signaling.odeon.live",
        grace_s=0,
    )
    async with server:
        yield server.address


@asynccontextmanager
async def probing(world: World, timeout_s: float = 10.0, parallel: int = 4) -> AsyncIterator[None]:
    """The prober at work."""
    settings = ProberSettings(
        auth_address=world.auth_address,
        room_address=world.room_address,
        service_secret=SERVICE_SECRET,
        timeout_s=timeout_s,
        parallel=parallel,
        interval_s=0.5,
    )
    peers = Peers("prober", settings)
    task = asyncio.create_task(Prober(peers, settings).run(), name="prober")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await peers.close()


async def probed(world: World, node: str = "n1") -> room_pb2.ReportProbeRequest:
    """The first report on a node."""
    return (await until(lambda: world.room.probes[f"nodes/{node}"]))[0]


async def test_media_goes_through_a_good_node_and_room_hears_it(world: World) -> None:
    async with probing(world):
        report = await probed(world)

    assert report.ok, report
    assert report.time_to_first_rtp.ToMilliseconds() > 0


async def test_a_probe_leaves_no_trace(world: World) -> None:
    async with probing(world):
        await probed(world)

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
    async with node_behind(*passing) as world, probing(world, timeout_s=3.0):
        report = await probed(world)

        assert (report.ok, report.failed_stage) == (False, stage)


async def test_a_node_that_does_not_answer_fails_at_the_join(world: World) -> None:
    world.room.nodes["nodes/gone"] = room_pb2.Node(name="nodes/gone", grpc_address="127.0.0.1:1")
    async with probing(world):
        assert (await probed(world, "gone")).failed_stage == "join"
        assert (await probed(world)).ok


async def test_nodes_that_keep_silent_keep_no_other_waiting(world: World) -> None:
    async with silent_node(world) as address:
        for n in range(12):
            name = f"nodes/a{n}"
            world.room.nodes[name] = room_pb2.Node(name=name, grpc_address=address)
        del world.room.nodes["nodes/n1"]  # its next heartbeat brings it back, behind the others
        await until(lambda: world.room.nodes.get("nodes/n1"))
        async with probing(world, timeout_s=20.0, parallel=6):
            report = await probed(world)

            assert report.ok
            assert not [n for n in range(12) if world.room.probes[f"nodes/a{n}"]]


async def test_a_node_that_is_listed_no_more_is_left_alone(world: World) -> None:
    world.room.nodes["nodes/gone"] = room_pb2.Node(name="nodes/gone", grpc_address="127.0.0.1:1")
    async with probing(world):
        await probed(world, "gone")
        del world.room.nodes["nodes/gone"]
        seen = len(world.room.probes["nodes/n1"])
        await until(lambda: len(world.room.probes["nodes/n1"]) >= seen + 2)
        told = len(world.room.probes["nodes/gone"])
        await until(lambda: len(world.room.probes["nodes/n1"]) >= seen + 6)

    assert len(world.room.probes["nodes/gone"]) == told
