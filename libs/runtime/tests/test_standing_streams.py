"""Streams that stay open: they end when the token that opened them would open them no more."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import grpc
import pytest
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_runtime.grpc_server import CALLER_KEY
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import Issuer
from odeon_testkit.stats import EndlessStats, stats_server
from odeon_testkit.wait import until

WITHIN_S = 10.0  # each waits for about a second; the machine may be busy
Stub = analytics_pb2_grpc.AnalyticsServiceStub
Metadata = tuple[tuple[str, str], ...]


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
async def served(issuer: Issuer) -> AsyncIterator[tuple[Stub, EndlessStats]]:
    async with (
        stats_server(issuer.verifier) as (address, servicer),
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield Stub(channel), servicer


def bearer(token: str) -> Metadata:
    return (("authorization", f"Bearer {token}"),)


async def ended(stub: Stub, metadata: Metadata, then: object = None) -> str:
    """Open a stream, do something, and wait for the reason why it ends."""
    request = analytics_pb2.WatchEventStatsRequest(event="events/launch")
    stream = aiter(stub.WatchEventStats(request, metadata=metadata))
    await anext(stream)
    if callable(then):
        then()
    async with asyncio.timeout(WITHIN_S):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await anext(stream)
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED
    info = error_info(refusal.value)
    assert info is not None
    return str(info.reason)


def visitor(issuer: Issuer, *, ttl_s: int = 3600) -> str:
    return issuer.token(
        Audience.API, session_id="sid-alice", permissions=("analytics.get",), ttl_s=ttl_s
    )


@pytest.mark.parametrize("passed_on", [False, True], ids=["directly", "through the gateway"])
async def test_a_stream_ends_when_its_callers_session_is_ended(
    issuer: Issuer, served: tuple[Stub, EndlessStats], passed_on: bool
) -> None:
    stub, servicer = served
    token = visitor(issuer)
    metadata = bearer(token)
    if passed_on:
        metadata = (*bearer(issuer.service_token("gateway")), (CALLER_KEY, token))

    def revoke() -> None:
        issuer.trust.revoke("acme", "sid-alice", expires_at=time.time() + 3600)

    assert await ended(stub, metadata, revoke) == "TOKEN_REVOKED"
    await until(servicer.is_idle)


async def test_a_stream_ends_when_its_callers_token_expires(
    issuer: Issuer, served: tuple[Stub, EndlessStats]
) -> None:
    stub, servicer = served

    assert await ended(stub, bearer(visitor(issuer, ttl_s=3))) == "TOKEN_EXPIRED"
    await until(servicer.is_idle)


async def test_a_stream_ends_when_the_key_of_its_callers_token_is_withdrawn(
    issuer: Issuer, served: tuple[Stub, EndlessStats]
) -> None:
    stub, _ = served

    def withdraw() -> None:
        issuer.trust.set_keys(json.dumps({"keys": []}))

    assert await ended(stub, bearer(visitor(issuer)), withdraw) == "TOKEN_INVALID"


async def test_a_services_own_stream_goes_on_while_it_renews_its_token(
    issuer: Issuer, served: tuple[Stub, EndlessStats]
) -> None:
    stub, servicer = served
    token = issuer.token(
        Audience.SERVICE, tenant=None, event=None, subject="svc:room", session_id="", ttl_s=3
    )
    request = analytics_pb2.WatchEventStatsRequest(event="events/launch")
    stream = aiter(stub.WatchEventStats(request, metadata=bearer(token)))
    await anext(stream)
    outsider = asyncio.create_task(ended(stub, bearer(visitor(issuer, ttl_s=4))))

    # The outsider's, which expires later, has ended; this one is still there.
    assert await outsider == "TOKEN_EXPIRED"
    assert servicer.open == 1


async def test_a_stream_that_the_client_leaves_is_forgotten(
    issuer: Issuer, served: tuple[Stub, EndlessStats]
) -> None:
    stub, servicer = served
    request = analytics_pb2.WatchEventStatsRequest(event="events/launch")
    call = stub.WatchEventStats(request, metadata=bearer(visitor(issuer)))
    await anext(aiter(call))

    call.cancel()

    await until(servicer.is_idle)
