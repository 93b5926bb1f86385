"""Calls into the services on behalf of an outside caller; bytes or messages, it does not matter."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from odeon_runtime.errors import Unauthenticated, Unavailable
from odeon_runtime.grpc_client import Peers
from odeon_runtime.principal import Principal, acting_as

from odeon_gateway.credentials import Credentials, is_guess
from odeon_gateway.limits import Limits
from odeon_gateway.methods import Method
from odeon_gateway.settings import GatewaySettings

Encode = Callable[[Any], bytes]
Decode = Callable[[bytes], Any]


def as_is(data: bytes) -> bytes:
    """Leave a message in its wire form."""
    return data


class Door:
    """Lets a call in: limits, credential, limits of that credential."""

    def __init__(self, credentials: Credentials, limits: Limits) -> None:
        self._credentials = credentials
        self._limits = limits

    async def admit(self, method: Method, authorization: str, address: str) -> Principal | None:
        """The caller of a method; None for a public method.

        Raises:
            RateLimited, Unauthenticated, TokenInvalid, TokenExpired, TokenRevoked, Unavailable.
        """
        self._limits.address(address)
        if method.public:
            return None
        try:
            principal = await self._credentials.caller(authorization)
        except Exception as error:
            if is_guess(error):
                self._limits.failure(address)
            raise
        if principal is None:
            # Without this the gateway's own service token would be the credential.
            raise Unauthenticated("this call needs a credential")
        self._limits.caller(principal)
        return principal

    def refused(self, method: Method, error: Exception, address: str) -> None:
        """A public call showed a credential of its own, and it was none: that is guessing, too."""
        if method.public and is_guess(error):
            self._limits.failure(address)


class Forwarder:
    """Sends calls on with the gateway's service token beside the caller's."""

    def __init__(self, peers: Peers, settings: GatewaySettings) -> None:
        self._peers = peers
        self._addresses = {
            "auth": settings.auth_address,
            "room": settings.room_address,
            "recorder": settings.recorder_address,
            "analytics": settings.analytics_address,
        }

    async def unary(
        self,
        method: Method,
        caller: Principal | None,
        request: Any,
        *,
        encode: Encode = as_is,
        decode: Decode = as_is,
        timeout_s: float,
    ) -> Any:
        """One answer. Raises AioRpcError as the service refused."""
        call = self._channel(method).unary_unary(
            method.path, request_serializer=encode, response_deserializer=decode
        )
        with acting_as(caller):
            return await call(request, timeout=timeout_s)

    async def server_stream(
        self,
        method: Method,
        caller: Principal | None,
        request: Any,
        *,
        encode: Encode = as_is,
        decode: Decode = as_is,
        timeout_s: float | None = None,
    ) -> AsyncIterator[Any]:
        """Many answers; leaving the iterator cancels the call."""
        make = self._channel(method).unary_stream(
            method.path, request_serializer=encode, response_deserializer=decode
        )
        with acting_as(caller):
            call = make(request, timeout=timeout_s)
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()

    async def client_stream(
        self,
        method: Method,
        caller: Principal | None,
        requests: AsyncIterator[bytes],
        *,
        timeout_s: float | None = None,
    ) -> AsyncIterator[bytes]:
        """Many requests, one answer or many; bytes both ways."""
        make = self._channel(method).stream_stream(
            method.path, request_serializer=as_is, response_deserializer=as_is
        )
        with acting_as(caller):
            call = make(requests, timeout=timeout_s)
        try:
            async for message in call:
                yield message
        finally:
            call.cancel()

    def _channel(self, method: Method) -> grpc.aio.Channel:
        address = self._addresses.get(method.service, "")
        if not address:
            raise Unavailable("this service is not part of the deployment", service=method.service)
        return self._peers.channel(address)
