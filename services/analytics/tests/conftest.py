"""A running analytics among a real NATS and an auth that vouches for tokens of the test."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from odeon.analytics.v1 import analytics_pb2 as pb
from odeon.analytics.v1 import analytics_pb2_grpc
from odeon_analytics.app import analytics
from odeon_analytics.settings import AnalyticsSettings
from odeon_runtime.bus import Bus
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.wait import until


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


@dataclass
class Analytics:
    """The service as its callers see it."""

    stub: analytics_pb2_grpc.AnalyticsServiceStub
    issuer: Issuer
    bus: Bus
    settings: AnalyticsSettings

    def viewer(
        self, session: str, event: str = "gala", tenant: str = "acme"
    ) -> tuple[tuple[str, str]]:
        token = self.issuer.token(
            Audience.PLAYBACK,
            tenant=tenant,
            event=event,
            subject="p-1",
            role="viewer",
            session_id=session,
            permissions=("beacons.send",),
        )
        return (("authorization", f"Bearer {token}"),)

    def owner(self, tenant: str = "acme") -> tuple[tuple[str, str]]:
        return (("authorization", f"Bearer {self.issuer.api_token(tenant=tenant)}"),)

    async def send(self, session: str, *beacons: pb.Beacon, event: str = "gala") -> None:
        request = pb.SendBeaconsRequest(event=f"events/{event}", beacons=beacons)
        await self.stub.SendBeacons(request, metadata=self.viewer(session, event), timeout=20)

    async def stats(self, event: str = "gala", tenant: str = "acme") -> pb.EventStats:
        request = pb.GetEventStatsRequest(event=f"events/{event}")
        answer = await self.stub.GetEventStats(request, metadata=self.owner(tenant), timeout=20)
        return answer.stats


@pytest.fixture
async def service(nats: NatsServer, tmp_path: Path) -> AsyncIterator[Analytics]:
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        auth_address, _ = await stack.enter_async_context(auth_server(issuer))
        settings = AnalyticsSettings(
            nats_url=nats.url,
            service_secret=SERVICE_SECRET,
            auth_address=auth_address,
            data_dir=tmp_path,
            store="sqlite",  # type: ignore[arg-type]
            flush_s=0.02,
            watch_interval_s=0.1,
        )
        addresses = await stack.enter_async_context(analytics(settings))
        bus = await stack.enter_async_context(Bus(nats.url, name="test"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(addresses["grpc"]))
        stub = analytics_pb2_grpc.AnalyticsServiceStub(channel)
        made = Analytics(stub, issuer, bus, settings)

        async def trusted() -> bool:
            try:
                await made.stats("nobody")
            except grpc.aio.AioRpcError as error:
                return error.code() is not grpc.StatusCode.UNAUTHENTICATED
            return True

        await until(trusted, timeout_s=20)
        await asyncio.wait_for(bus.connected.wait(), 10)
        yield made
