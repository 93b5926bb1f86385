"""The native gRPC port: calls go through as bytes, with the same doors as over HTTP."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Self

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from odeon_runtime import telemetry
from odeon_runtime.grpc_server import MAX_MESSAGE_BYTES
from opentelemetry import trace

from odeon_gateway.forwarding import Door, Forwarder
from odeon_gateway.methods import Method
from odeon_gateway.refusals import status_of
from odeon_gateway.requests import FORWARDED_FOR, forwarded_address
from odeon_gateway.settings import GatewaySettings

_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 250),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.so_reuseport", 0),
]
_tracer = telemetry.tracer(__name__)
_Context = grpc.aio.ServicerContext


class PassThrough(grpc.GenericRpcHandler):
    """Handles every RPC that outsiders may call, without knowing its messages."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        door: Door,
        forwarder: Forwarder,
        settings: GatewaySettings,
    ) -> None:
        self._methods = methods
        self._door = door
        self._forwarder = forwarder
        self._settings = settings

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The handler of a call; None is UNIMPLEMENTED."""
        method = self._methods.get(details.method)
        if method is None:
            return None
        if method.streams_requests:
            return grpc.stream_stream_rpc_method_handler(
                self._streams(method, self._forwarder.client_stream)
            )
        if method.streams_responses:
            return grpc.unary_stream_rpc_method_handler(
                self._streams(method, self._forwarder.server_stream)
            )
        return grpc.unary_unary_rpc_method_handler(self._unary(method))

    def _unary(self, method: Method) -> Callable[[bytes, Any], Awaitable[Any]]:
        async def run(request: bytes, context: Any) -> Any:
            with self._span(method, context):
                try:
                    caller = await self._admit(method, context)
                    limit = self._settings.unary_timeout_s
                    left = _time_left(context)
                    return await self._forwarder.unary(
                        method,
                        caller,
                        request,
                        timeout_s=limit if left is None else min(left, limit),
                    )
                except Exception as error:
                    self._door.refused(method, error, self._address(context))
                    await _refuse(context, error)

        return run

    def _streams(
        self, method: Method, forward: Callable[..., AsyncIterator[bytes]]
    ) -> Callable[[Any, Any], AsyncIterator[bytes]]:
        async def run(sent: Any, context: Any) -> AsyncIterator[bytes]:
            with self._span(method, context):
                try:
                    caller = await self._admit(method, context)
                    async for answer in forward(
                        method, caller, sent, timeout_s=_time_left(context)
                    ):
                        yield answer
                except Exception as error:
                    await _refuse(context, error)

        return run

    async def _admit(self, method: Method, context: Any) -> Any:
        authorization = _metadata(context).get("authorization", "")
        return await self._door.admit(method, authorization, self._address(context))

    def _address(self, context: Any) -> str:
        pairs = context.invocation_metadata() or ()
        lines = [value for key, value in pairs if key == FORWARDED_FOR]
        return forwarded_address(lines, _peer(context.peer()), self._settings.trusted_proxies)

    def _span(self, method: Method, context: Any) -> Any:
        return _tracer.start_as_current_span(
            method.path.lstrip("/"),
            context=telemetry.extract(_metadata(context)),
            kind=trace.SpanKind.SERVER,
            record_exception=False,
        )


class GrpcFace:
    """The gRPC port as an async context manager, with health and reflection."""

    def __init__(self, handler: PassThrough, names: list[str], settings: GatewaySettings) -> None:
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((handler,))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self._names = ["", *names]
        self.host = settings.grpc_host
        self.port = self._add_port(settings)

    @property
    def address(self) -> str:
        """Where to reach it, host:port."""
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start serving."""
        await self._server.start()
        await self._set(health_pb2.HealthCheckResponse.SERVING)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Not serving first, then stop with grace."""
        await self._set(health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._server.stop(2.0)

    async def _set(self, status: health_pb2.HealthCheckResponse.ServingStatus.ValueType) -> None:
        for name in self._names:
            await self._health.set(name, status)

    def _add_port(self, settings: GatewaySettings) -> int:
        address = f"{settings.grpc_host}:{settings.grpc_port}"
        if not settings.tls_cert:
            return self._server.add_insecure_port(address)
        pair = (Path(settings.tls_key).read_bytes(), Path(settings.tls_cert).read_bytes())
        return self._server.add_secure_port(address, grpc.ssl_server_credentials([pair]))


async def _refuse(context: Any, error: Exception) -> None:
    await context.abort_with_status(rpc_status.to_status(status_of(error)))


def _metadata(context: Any) -> dict[str, str]:
    pairs = context.invocation_metadata() or ()
    return {key: value for key, value in pairs if isinstance(value, str)}


def _time_left(context: Any) -> float | None:
    left: float | None = context.time_remaining()
    return left


def _peer(peer: str) -> str:
    """The host of gRPC's peer: ipv4:127.0.0.1:5000 → 127.0.0.1, ipv6:%5B::1%5D:5000 → ::1."""
    _, _, rest = peer.partition(":")
    host = rest.rpartition(":")[0]
    return host.replace("%5B", "").replace("%5D", "").strip("[]") or peer
