"""Puts a signaling node together; `__main__` runs it, tests run it in their own loop."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.ids import NodeId, new_id
from odeon_runtime.logs import logger
from odeon_runtime.pool_agent import Load, Member, PoolAgent
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore, follow_bus, follow_stream

from odeon_signaling.advertised import addresses
from odeon_signaling.api import SignalingServicer
from odeon_signaling.media import MediaNode
from odeon_signaling.node import Facts, Node
from odeon_signaling.reports import Heartbeat, ParticipantReports
from odeon_signaling.settings import SignalingSettings

SERVICE = "signaling"
_TRUST_WAIT_S = 15.0
_log = logger(__name__)


@asynccontextmanager
async def signaling(settings: SignalingSettings) -> AsyncIterator[Mapping[str, str]]:
    """A running node; yields its addresses. Leaving drains it."""
    name = NodeId.parse(settings.node or new_id("node", bits=40))
    trust = TrustStore()
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.of(settings, name=f"{SERVICE}-{name}"))
        peers = Peers(SERVICE, settings)
        stack.push_async_callback(peers.close)
        advertise = await addresses(settings)
        media = await stack.enter_async_context(MediaNode(settings, advertise))
        node = Node(name, media, Verifier(trust), trust, Facts(bus, name))
        reports = node.reports = ParticipantReports(peers, name, node.verdict)
        server = _server(settings, node, media, trust)
        address = settings.advertise_grpc or server.address
        heartbeat = Heartbeat(peers, bus, _Describe(node, address), settings.heartbeat_s)
        await follow_bus(trust, bus)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("media-events", node.follow_media())
        tasks.spawn("stage-tick", node.tick())
        tasks.spawn("trust", follow_stream(trust, peers))
        tasks.spawn("participant-reports", reports.run())
        await _keys_known(trust)
        await stack.enter_async_context(server)
        tasks.spawn("heartbeat", heartbeat.run())
        if (member := Member.of(settings)) is not None:
            tasks.spawn("pool", _agent(bus, member, node, heartbeat).run())
        stack.push_async_callback(_drain, node, heartbeat, server, settings.drain_s)
        yield {
            "node": name,
            "grpc": server.address,
            "media": media.addresses[0],
            "media_port": str(media.sfu.port),
        }


async def _keys_known(trust: TrustStore) -> None:
    """Wait for the keys: without them every token would look like a forgery."""
    try:
        async with asyncio.timeout(_TRUST_WAIT_S):
            await trust.ready.wait()
    except TimeoutError:
        _log.warning("serving_without_keys")


def _agent(bus: Bus, member: Member, node: Node, heartbeat: Heartbeat) -> PoolAgent:
    """Says what the node holds, and cordons it for as long as a drain record stands.

    The drain is acknowledged when room knows of it, so that nothing is placed here afterwards.
    """

    def load() -> Load:
        return Load(sessions=node.events, reserved=int(node.cordoned and not heartbeat.cordon_told))

    def changed() -> None:
        node.cordoned = agent.asked
        heartbeat.now()

    agent = PoolAgent.on(bus, member, load)
    agent.when_changed(changed)
    return agent


class _Describe:
    """The node with its public gRPC address."""

    def __init__(self, node: Node, address: str) -> None:
        self._node = node
        self._address = address

    def __call__(self) -> tuple[room_pb2.Node, list[str]]:
        node, active = self._node.describe()
        node.grpc_address = self._address
        return node, active


def _server(
    settings: SignalingSettings, node: Node, media: MediaNode, trust: TrustStore
) -> GrpcServer:
    return GrpcServer(
        host=settings.grpc_host,
        port=settings.grpc_port,
        verifier=Verifier(trust),
        services=[
            (
                signaling_pb2_grpc.add_SignalingServiceServicer_to_server,
                SignalingServicer(node, media),
                signaling_pb2.DESCRIPTOR.services_by_name["SignalingService"],
            )
        ],
        domain="signaling.odeon.live",
    )


async def _drain(node: Node, heartbeat: Heartbeat, server: GrpcServer, within_s: float) -> None:
    node.draining = True
    await server.set_serving(False)
    await heartbeat.report()
    await node.drain(within_s)
