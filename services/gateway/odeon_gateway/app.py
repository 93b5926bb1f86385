"""Puts the gateway together; `__main__` runs it, tests run it in their own loop."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.http import AsgiApp, HttpServer
from odeon_runtime.http_guard import HttpLimits
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore, follow_bus, follow_stream

from odeon_gateway.connect import ConnectHandler
from odeon_gateway.credentials import Credentials
from odeon_gateway.forwarding import Door, Forwarder
from odeon_gateway.http_app import http_app
from odeon_gateway.limits import Limits
from odeon_gateway.methods import facing_methods, services
from odeon_gateway.pages import Pages
from odeon_gateway.passthrough import GrpcFace, PassThrough
from odeon_gateway.placement import Placement
from odeon_gateway.public_files import PublicFiles
from odeon_gateway.settings import GatewaySettings
from odeon_gateway.stage_socket import StageEndpoint
from odeon_gateway.steering import EdgeDirectory, SteeringEndpoint
from odeon_gateway.traces import TraceEndpoint
from odeon_gateway.whip import MediaEndpoints

SERVICE = "gateway"


class _Parts:
    """What both ports share."""

    def __init__(self, settings: GatewaySettings, trust: TrustStore, peers: Peers) -> None:
        self.settings = settings
        self.trust = trust
        self.limits = Limits(settings)
        self.credentials = Credentials(Verifier(trust), trust, peers)
        self.door = Door(self.credentials, self.limits)
        self.forwarder = Forwarder(peers, settings)
        self.placement = Placement(peers)
        self.methods = facing_methods()
        self.edges = EdgeDirectory()
        self.traces = TraceEndpoint(settings, self.limits)
        self.peers = peers

    def http(self) -> AsgiApp:
        """The HTTP side."""
        shared = (self.credentials, self.limits, self.placement, self.peers, self.settings)
        return http_app(
            settings=self.settings,
            connect=ConnectHandler(self.methods, self.door, self.forwarder, self.settings),
            media=MediaEndpoints(*shared).routes(),
            stage=StageEndpoint(*shared),
            steering=SteeringEndpoint(self.edges, self.settings.edge_url),
            traces=self.traces,
            files=PublicFiles(self.settings, self.trust),
            pages=Pages(self.settings, self.edges.origins),
        )

    def grpc(self) -> GrpcFace:
        """The gRPC side."""
        handler = PassThrough(self.methods, self.door, self.forwarder, self.settings)
        names = [service.full_name for service in services()]
        return GrpcFace(handler, names, self.settings)


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[Mapping[str, str]]:
    """A running gateway; yields its addresses."""
    trust = TrustStore()
    certificate = (settings.tls_cert, settings.tls_key) if settings.tls_cert else None
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.of(settings, name=SERVICE))
        peers = Peers(SERVICE, settings)
        stack.push_async_callback(peers.close)
        parts = _Parts(settings, trust, peers)
        await follow_bus(trust, bus)
        await parts.edges.follow(bus)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("trust", follow_stream(trust, peers))
        tasks.spawn("page-spans", parts.traces.run())
        grpc_face = await stack.enter_async_context(parts.grpc())
        http = await stack.enter_async_context(
            HttpServer(
                parts.http(),
                host=settings.http_host,
                port=settings.http_port,
                certificate=certificate,
                limits=HttpLimits(
                    max_connections=settings.max_connections,
                    head_timeout_s=settings.head_timeout_s,
                    stall_timeout_s=settings.stall_timeout_s,
                ),
            )
        )
        yield {"http": http.address, "grpc": grpc_face.address}
