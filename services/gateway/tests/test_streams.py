"""Server streams through both public ports: every message, the end, and who goes before it."""

import json
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import grpc
import httpx
import pytest
from google.protobuf import json_format
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_gateway.app import gateway
from odeon_gateway.settings import GatewaySettings
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.stats import EndlessStats, ScriptedStats, stats_server
from odeon_testkit.wait import until

PATH = "/odeon.analytics.v1.AnalyticsService/WatchEventStats"
REQUEST = analytics_pb2.WatchEventStatsRequest(event="events/launch")
TRACE = "0af7651916cd43dd8448eb211c80319c"
_ENVELOPE = struct.Struct(">BI")
_END_STREAM = 2

Stats = TypeVar("Stats", bound=EndlessStats)


@dataclass(frozen=True)
class Stand(Generic[Stats]):
    """A gateway before an analytics service of the test's."""

    issuer: Issuer
    stats: Stats
    http: httpx.AsyncClient
    channel: grpc.aio.Channel

    @property
    def bearer(self) -> str:
        return f"Bearer {self.issuer.api_token()}"

    @property
    def grpc_metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", self.bearer),)


@asynccontextmanager
async def stand_before(stats: Stats) -> AsyncIterator[Stand[Stats]]:
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        auth_address, _ = await stack.enter_async_context(auth_server(issuer))
        address, _ = await stack.enter_async_context(stats_server(issuer.verifier, stats))
        settings = GatewaySettings(
            auth_address=auth_address,
            analytics_address=address,
            service_secret=SERVICE_SECRET,
            web_root=Path("/nonexistent"),
        )
        addresses = await stack.enter_async_context(gateway(settings))
        base = f"http://{addresses['http']}"
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=20))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(addresses["grpc"]))
        yield Stand(issuer, stats, http, channel)


@pytest.fixture
async def scripted() -> AsyncIterator[Stand[ScriptedStats]]:
    async with stand_before(ScriptedStats()) as stand:  # type: ignore[abstract]
        yield stand


@pytest.fixture
async def endless() -> AsyncIterator[Stand[EndlessStats]]:
    async with stand_before(EndlessStats()) as stand:  # type: ignore[abstract]
        yield stand


def body_of(codec: str) -> bytes:
    text = json_format.MessageToJson(REQUEST).encode()
    message = text if codec == "json" else REQUEST.SerializeToString()
    return _ENVELOPE.pack(0, len(message)) + message


def envelopes(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        flags, size = _ENVELOPE.unpack_from(data)
        assert len(data) >= _ENVELOPE.size + size
        found.append((flags, data[_ENVELOPE.size : _ENVELOPE.size + size]))
        data = data[_ENVELOPE.size + size :]
    return found


def read(codec: str, message: bytes) -> analytics_pb2.WatchEventStatsResponse:
    answer = analytics_pb2.WatchEventStatsResponse()
    if codec == "json":
        return json_format.Parse(message, answer)
    return analytics_pb2.WatchEventStatsResponse.FromString(message)


@pytest.mark.parametrize("codec", ["json", "proto"])
async def test_a_connect_stream_brings_every_message_and_the_end(
    scripted: Stand[ScriptedStats], codec: str
) -> None:
    content_type = f"application/connect+{codec}"
    answer = await scripted.http.post(
        PATH,
        content=body_of(codec),
        headers={"authorization": scripted.bearer, "content-type": content_type},
    )

    *messages, (flags, end) = envelopes(answer.content)
    stats = [read(codec, message).stats for _, message in messages]
    assert (answer.status_code, answer.headers["content-type"]) == (200, content_type)
    assert [(s.event, s.concurrent_viewers) for s in stats] == [
        ("events/launch", viewers) for viewers in (1, 2, 3)
    ]
    assert {flags for flags, _ in messages} == {0}
    assert (flags, json.loads(end)) == (_END_STREAM, {})


async def test_a_grpc_stream_brings_every_message_and_the_end(
    scripted: Stand[ScriptedStats],
) -> None:
    stub = analytics_pb2_grpc.AnalyticsServiceStub(scripted.channel)
    call = stub.WatchEventStats(REQUEST, metadata=scripted.grpc_metadata)

    viewers = [answer.stats.concurrent_viewers async for answer in call]

    assert viewers == [1, 2, 3]
    assert await call.code() is grpc.StatusCode.OK


async def test_a_stream_is_part_of_its_callers_trace(scripted: Stand[ScriptedStats]) -> None:
    traceparent = f"00-{TRACE}-b7ad6b7169203331-01"
    stub = analytics_pb2_grpc.AnalyticsServiceStub(scripted.channel)
    metadata = (*scripted.grpc_metadata, ("traceparent", traceparent))
    async for _ in stub.WatchEventStats(REQUEST, metadata=metadata):
        pass
    headers = {"authorization": scripted.bearer, "traceparent": traceparent}
    headers["content-type"] = "application/connect+json"
    await scripted.http.post(PATH, content=body_of("json"), headers=headers)

    assert [trace.split("-")[1:2] for trace in scripted.stats.traces] == [[TRACE], [TRACE]]


async def test_a_connect_client_that_goes_ends_the_call_behind_it(
    endless: Stand[EndlessStats],
) -> None:
    headers = {"authorization": endless.bearer, "content-type": "application/connect+proto"}
    async with endless.http.stream(
        "POST", PATH, content=body_of("proto"), headers=headers
    ) as answer:
        first = await anext(answer.aiter_bytes())
        assert not await endless.stats.is_idle()

    assert first[0] == 0
    await until(endless.stats.is_idle)


async def test_a_grpc_client_that_goes_ends_the_call_behind_it(
    endless: Stand[EndlessStats],
) -> None:
    stub = analytics_pb2_grpc.AnalyticsServiceStub(endless.channel)
    call = stub.WatchEventStats(REQUEST, metadata=endless.grpc_metadata)
    await anext(aiter(call))
    assert not await endless.stats.is_idle()

    call.cancel()

    await until(endless.stats.is_idle)
