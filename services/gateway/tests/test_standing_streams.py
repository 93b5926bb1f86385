"""Streams through both public faces end when the caller's token would open them no more."""

import asyncio
import json
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx
import pytest
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_gateway.app import gateway
from odeon_gateway.settings import GatewaySettings
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.stats import EndlessStats, stats_server
from odeon_testkit.wait import until

WITHIN_S = 15.0  # it takes about a second; the machine may be busy
_ENVELOPE = struct.Struct(">BI")


@dataclass(frozen=True)
class Stand:
    """A gateway before a service whose streams never end by themselves."""

    issuer: Issuer
    stats: EndlessStats
    http: str
    grpc: str

    async def is_open(self) -> bool:
        return self.stats.open == 1


@pytest.fixture
async def stand() -> AsyncIterator[Stand]:
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        auth_address, _ = await stack.enter_async_context(auth_server(issuer))
        address, stats = await stack.enter_async_context(stats_server(issuer.verifier))
        settings = GatewaySettings(
            auth_address=auth_address,
            analytics_address=address,
            service_secret=SERVICE_SECRET,
            web_root=Path("/nonexistent"),
        )
        addresses = await stack.enter_async_context(gateway(settings))
        yield Stand(issuer, stats, f"http://{addresses['http']}", addresses["grpc"])


async def over_grpc(stand: Stand, token: str) -> str:
    """Follow by native gRPC to the end; the reason of the end."""
    async with grpc.aio.insecure_channel(stand.grpc) as channel:
        stub = analytics_pb2_grpc.AnalyticsServiceStub(channel)
        request = analytics_pb2.WatchEventStatsRequest(event="events/launch")
        try:
            async for _ in stub.WatchEventStats(
                request, metadata=(("authorization", f"Bearer {token}"),)
            ):
                pass
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            return info.reason if info else error.code().name
    return "OK"


async def over_connect(stand: Stand, token: str) -> str:
    """Follow by Connect to the end; the reason of the end."""
    body = b'{"event":"events/launch"}'
    async with httpx.AsyncClient(base_url=stand.http, timeout=WITHIN_S) as client:
        response = await client.post(
            "/odeon.analytics.v1.AnalyticsService/WatchEventStats",
            content=_ENVELOPE.pack(0, len(body)) + body,
            headers={
                "authorization": f"Bearer {token}",
                "content-type": "application/connect+json",
            },
        )
    data, last = response.content, b"{}"
    while data:
        _, size = _ENVELOPE.unpack_from(data)
        last, data = data[5 : 5 + size], data[5 + size :]
    return str(json.loads(last)["error"]["details"][0]["debug"]["reason"])


Follow = Callable[[Stand, str], Awaitable[str]]
each_face = pytest.mark.parametrize("follow", [over_connect, over_grpc])


@each_face
async def test_a_stream_ends_when_its_callers_session_is_ended(
    stand: Stand, follow: Follow
) -> None:
    token = stand.issuer.token(Audience.API, permissions=("analytics.get",))
    following = asyncio.ensure_future(follow(stand, token))
    await until(stand.is_open)

    stand.issuer.trust.revoke("acme", "sid-alice", expires_at=time.time() + 3600)

    assert await asyncio.wait_for(following, WITHIN_S) == "TOKEN_REVOKED"
    await until(stand.stats.is_idle)


@each_face
async def test_a_stream_ends_when_its_callers_token_expires(stand: Stand, follow: Follow) -> None:
    token = stand.issuer.token(Audience.API, permissions=("analytics.get",), ttl_s=4)

    assert await asyncio.wait_for(follow(stand, token), WITHIN_S) == "TOKEN_EXPIRED"
    await until(stand.stats.is_idle)
