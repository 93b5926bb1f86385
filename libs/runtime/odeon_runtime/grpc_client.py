"""How services ask each other: long-lived channels, a service token, the caller's token too."""

import asyncio
import time
from functools import cached_property
from typing import Any

import grpc
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon.recorder.v1 import recorder_pb2_grpc
from odeon.room.v1 import room_pb2_grpc
from odeon.signaling.v1 import signaling_pb2_grpc

from odeon_runtime import telemetry
from odeon_runtime.errors import Unavailable
from odeon_runtime.grpc_server import CALLER_KEY, MAX_MESSAGE_BYTES
from odeon_runtime.logs import logger
from odeon_runtime.principal import maybe_principal
from odeon_runtime.settings import ServiceSettings

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    ("grpc.enable_retries", 1),
]
_RENEW_BEFORE_S = 120
_SETTLED_S = 5.0
"""After a key was withdrawn another instance of auth may still sign with it for this long."""
_log = logger(__name__)


class ServiceToken:
    """The service's own token, renewed before it ends; one exchange however many ask."""

    def __init__(self, service: str, secret: str, auth: grpc.aio.Channel) -> None:
        self._service = service
        self._secret = secret
        self._stub = auth_pb2_grpc.AuthServiceStub(auth)
        self._lock = asyncio.Lock()
        self._token = ""
        self._renew_at = 0.0
        self._settled_at = 0.0

    async def get(self) -> str:
        """A token with time left; the old one while auth is away and it still lives."""
        if time.time() < self._renew_at:
            return self._token
        async with self._lock:
            if time.time() >= self._renew_at:
                await self._renew()
        return self._token

    def renew_now(self) -> None:
        """Ask for another at the next use: a key was withdrawn, perhaps that of this one."""
        self._token, self._renew_at = "", 0.0
        self._settled_at = time.time() + _SETTLED_S

    async def _renew(self) -> None:
        request = auth_pb2.IssueServiceTokenRequest(service=self._service, secret=self._secret)
        try:
            response = await self._stub.IssueServiceToken(request, timeout=5, wait_for_ready=True)
        except grpc.aio.AioRpcError as error:
            if self._token and time.time() < self._renew_at + _RENEW_BEFORE_S - 5:
                _log.warning("service_token_not_renewed", code=error.code().name)
                return
            raise Unavailable("auth does not answer", service="auth") from error
        self._token = response.token
        self._renew_at = response.expire_time.seconds - _RENEW_BEFORE_S
        if time.time() < self._settled_at:
            self._renew_at = self._settled_at


class _Credentials:
    """Adds the service token, the caller's token and the trace to a call."""

    def __init__(self, token: ServiceToken) -> None:
        self._token = token

    async def added_to(self, details: Any) -> grpc.aio.ClientCallDetails:
        metadata = list(details.metadata or ())
        names = {key for key, _ in metadata}
        metadata += telemetry.inject().items()
        if "authorization" not in names:
            metadata.append(("authorization", f"Bearer {await self._token.get()}"))
            caller = maybe_principal()
            if caller is not None and caller.token and caller.tenant is not None:
                metadata.append((CALLER_KEY, caller.token))
        return grpc.aio.ClientCallDetails(
            details.method,
            details.timeout,
            grpc.aio.Metadata(*metadata),
            details.credentials,
            details.wait_for_ready,
        )


# grpc.aio files an interceptor under the first base class that fits, so each shape needs its own.
class _OnUnary(_Credentials, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(await self.added_to(details), request)


class _OnServerStream(_Credentials, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(await self.added_to(details), request)


class _OnBidiStream(_Credentials, grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(await self.added_to(details), requests)


class Peers:
    """Channels and stubs to the other services, made on first use, closed together.

    Calls run as the current principal: its token travels beside the service's own. Use
    `acting_as(None)` for the service's own business inside of somebody's call.
    """

    def __init__(self, service: str, settings: ServiceSettings) -> None:
        self._settings = settings
        self._service = service
        self._channels: dict[str, grpc.aio.Channel] = {}

    @cached_property
    def service_token(self) -> ServiceToken:
        """This service's own token."""
        plain = grpc.aio.insecure_channel(self._settings.auth_address, options=_OPTIONS)
        self._channels["auth!plain"] = plain
        return ServiceToken(self._service, self._settings.service_secret, plain)

    def channel(self, address: str) -> grpc.aio.Channel:
        """A long-lived channel to host:port with this service's credentials."""
        if address not in self._channels:
            kinds = (_OnUnary, _OnServerStream, _OnBidiStream)
            self._channels[address] = grpc.aio.insecure_channel(
                address,
                options=_OPTIONS,
                interceptors=[kind(self.service_token) for kind in kinds],
            )
        return self._channels[address]

    def _configured(self, name: str, address: str) -> grpc.aio.Channel:
        if not address:
            raise Unavailable(f"no address of {name} is set", service=name)
        return self.channel(address)

    @property
    def auth(self) -> auth_pb2_grpc.AuthServiceStub:
        """Stub of auth."""
        return auth_pb2_grpc.AuthServiceStub(self._configured("auth", self._settings.auth_address))

    @property
    def room(self) -> room_pb2_grpc.RoomServiceStub:
        """Stub of room."""
        return room_pb2_grpc.RoomServiceStub(self._configured("room", self._settings.room_address))

    @property
    def recorder(self) -> recorder_pb2_grpc.RecorderServiceStub:
        """Stub of recorder."""
        address = self._settings.recorder_address
        return recorder_pb2_grpc.RecorderServiceStub(self._configured("recorder", address))

    def signaling(self, address: str) -> signaling_pb2_grpc.SignalingServiceStub:
        """One signaling node, by its host:port."""
        return signaling_pb2_grpc.SignalingServiceStub(self.channel(address))

    async def close(self) -> None:
        """Close every channel."""
        for channel in self._channels.values():
            await channel.close()
