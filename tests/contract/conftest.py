"""The services whose contract is checked, started for real in this process.

A new service is added to SERVICES here and to FILES in test_permissions.py; then every one of its
RPCs needs a request there, or the matrix fails.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from odeon.auth.v1 import auth_pb2_grpc
from odeon_testkit.callers import AuthApi, Deployment
from pydantic import SecretStr

OPERATOR_KEY = "odk_contract12_" + "c" * 43
SECRET = "contract-service-secret"
Start = Callable[[Mapping[str, str], Path], AbstractAsyncContextManager[Mapping[str, str]]]


def _auth(around: Mapping[str, str], home: Path) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_auth.app import start
    from odeon_auth.settings import AuthSettings

    return start(
        AuthSettings(data_dir=home, service_secret=SECRET, bootstrap_key=SecretStr(OPERATOR_KEY))
    )


def _room(around: Mapping[str, str], home: Path) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_room.app import start
    from odeon_room.settings import RoomSettings

    return start(RoomSettings(data_dir=home, service_secret=SECRET, auth_address=around["auth"]))


def _recorder(
    around: Mapping[str, str], home: Path
) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_recorder.__main__ import start
    from odeon_recorder.settings import RecorderSettings

    return start(
        RecorderSettings(data_dir=home, service_secret=SECRET, auth_address=around["auth"])
    )


def _signaling(
    around: Mapping[str, str], home: Path
) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_signaling.app import signaling
    from odeon_signaling.settings import SignalingSettings

    return signaling(
        SignalingSettings(
            data_dir=home,
            service_secret=SECRET,
            auth_address=around["auth"],
            room_address=around["room"],
        )
    )


def _analytics(
    around: Mapping[str, str], home: Path
) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_analytics.app import analytics
    from odeon_analytics.settings import AnalyticsSettings

    return analytics(
        AnalyticsSettings(
            data_dir=home,
            service_secret=SECRET,
            auth_address=around["auth"],
            store=SecretStr("sqlite"),
        )
    )


def _transcoder(
    around: Mapping[str, str], home: Path
) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_transcoder.__main__ import start
    from odeon_transcoder.settings import TranscoderSettings

    return start(
        TranscoderSettings(
            data_dir=home,
            service_secret=SECRET,
            auth_address=around["auth"],
            room_address=around["room"],
            recorder_address=around["recorder"],
            probe=False,
            spares=0,
        )
    )


def _gateway(
    around: Mapping[str, str], home: Path
) -> AbstractAsyncContextManager[Mapping[str, str]]:
    from odeon_gateway.app import gateway
    from odeon_gateway.settings import GatewaySettings

    return gateway(
        GatewaySettings(
            data_dir=home,
            service_secret=SECRET,
            auth_address=around["auth"],
            room_address=around["room"],
            recorder_address=around["recorder"],
            analytics_address=around["analytics"],
            limit_failures="10000/second",
        )
    )


@dataclass(frozen=True, slots=True)
class Service:
    """A service, and how to start it."""

    name: str
    start: Start


SERVICES = (
    Service("auth", _auth),
    Service("room", _room),
    Service("recorder", _recorder),
    Service("signaling", _signaling),
    Service("analytics", _analytics),
    Service("transcoder", _transcoder),
    Service("gateway", _gateway),
)


@asynccontextmanager
async def deployed(home: Path) -> AsyncIterator[Deployment]:
    """Start every service on free ports."""
    async with AsyncExitStack() as stack:
        addresses: dict[str, str] = {}
        channels: dict[str, grpc.aio.Channel] = {}
        for service in SERVICES:
            started = await stack.enter_async_context(service.start(addresses, home))
            addresses[service.name] = started["grpc"]
            channel = grpc.aio.insecure_channel(started["grpc"])
            channels[service.name] = await stack.enter_async_context(channel)
        stub = auth_pb2_grpc.AuthServiceStub(channels["auth"])
        api = AuthApi(addresses["auth"], stub, OPERATOR_KEY, SECRET)
        yield Deployment(channels, api, addresses)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """Every service, for all tests of a module."""
    async with deployed(tmp_path_factory.mktemp("contract")) as running:
        yield running
