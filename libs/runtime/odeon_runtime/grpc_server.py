"""The gRPC server of every service: default deny, typed errors, traces, health, reflection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Self

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from grpc_status import rpc_status
from opentelemetry import context as otel_context
from opentelemetry import trace

from odeon_runtime import telemetry
from odeon_runtime.errors import DomainError, PermissionDenied, Unauthenticated
from odeon_runtime.logs import logger
from odeon_runtime.permissions import PUBLIC, SERVICE, method_permissions
from odeon_runtime.principal import Principal, act_as, acting_as
from odeon_runtime.status import to_status
from odeon_runtime.tokens import Audience, Verifier

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
CALLER_KEY = "x-odeon-caller"
_RECHECK_S = 1.0
"""How long a stream outlives its caller's token at most; a revocation needs up to 2 s to get here
and must hold within 5 s."""
_OUTSIDE_AUDIENCES = (Audience.API, Audience.INVITE, Audience.STAGE, Audience.PLAYBACK)
_OPEN_PREFIXES = ("/grpc.health.v1.Health/", "/grpc.reflection.v1alpha.ServerReflection/")
_OPTIONS = [
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_concurrent_streams", 1000),
    ("grpc.max_metadata_size", 32 * 1024),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.so_reuseport", 0),
]
_log = logger(__name__)
_tracer = telemetry.tracer(__name__)

Context = grpc.aio.ServicerContext[Any, Any]
Register = tuple[Callable[[Any, grpc.aio.Server], None], object, ServiceDescriptor]


class Gate:
    """Decides who calls, and whether they may: the one place where gRPC calls are authorised."""

    def __init__(self, verifier: Verifier, permissions: Mapping[str, str]) -> None:
        self._verifier = verifier
        self._permissions = permissions

    def admit(self, method: str, metadata: Mapping[str, str]) -> Principal | None:
        """The caller of `method`; None for public methods without a credential.

        Raises:
            Unauthenticated, TokenInvalid, TokenExpired, TokenRevoked, PermissionDenied.
        """
        needed = self._permissions.get(method)
        if needed is None:
            raise PermissionDenied("unknown method")
        principal = self._principal(metadata)
        if needed == PUBLIC:
            return principal
        if principal is None:
            raise Unauthenticated("this call needs a credential")
        if not principal.may(needed) and not self._trusted_alone(principal, needed):
            raise PermissionDenied(f"this call needs {needed}", permission=needed)
        return principal

    def recheck(self, principal: Principal) -> None:
        """Refuse who was admitted and would not be any more.

        Raises:
            TokenInvalid, TokenExpired, TokenRevoked.
        """
        self._verifier.recheck(principal)

    def _trusted_alone(self, principal: Principal, needed: str) -> bool:
        # A service that acts on its own (no caller's token) runs the deployment's own business.
        return needed != SERVICE and bool(principal.service) and principal.tenant is None

    def _principal(self, metadata: Mapping[str, str]) -> Principal | None:
        scheme, _, token = metadata.get("authorization", "").partition(" ")
        if not token:
            return None
        if scheme.lower() != "bearer":
            raise Unauthenticated("only Bearer credentials are understood")
        principal = self._verifier.verify(token, *_OUTSIDE_AUDIENCES, Audience.SERVICE)
        passed_on = metadata.get(CALLER_KEY)
        if passed_on is None:
            return principal
        if not principal.service:
            raise PermissionDenied("only services pass a caller's token on")
        caller = self._verifier.verify(passed_on, *_OUTSIDE_AUDIENCES)
        return caller.via(principal.service)


class _Leash:
    """Ends a stream when the token that opened it would open it no more.

    A look every second costs three dictionary look-ups and holds for every way of losing trust,
    by revocation, expiry or a withdrawn key. A service on its own business is not held: it renews
    its token while its streams go on.
    """

    def __init__(self, gate: Gate, principal: Principal | None) -> None:
        self._gate = gate
        self._principal = principal
        self._timer: asyncio.TimerHandle | None = None
        self.timeout = asyncio.timeout(None)
        self.refusal: DomainError | None = None

    def hold(self) -> None:
        """Look from now on, until `let_go`; `timeout` must have been entered."""
        if self._principal is not None and self._principal.tenant is not None:
            self._timer = asyncio.get_running_loop().call_later(_RECHECK_S, self._look)

    def let_go(self) -> None:
        """Look no more; repeatable."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        assert self._principal is not None, "looked at only when there is somebody"
        try:
            self._gate.recheck(self._principal)
        except DomainError as error:
            self.refusal = error
            self.timeout.reschedule(asyncio.get_running_loop().time())
        else:
            self.hold()


class _Interceptor(grpc.aio.ServerInterceptor):
    """Wraps every handler: authorise, trace, log, turn refusals into google.rpc.Status."""

    def __init__(self, gate: Gate, domain: str) -> None:
        self._gate = gate
        self._domain = domain

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(details)
        method = details.method
        if handler is None or method.startswith(_OPEN_PREFIXES):
            return handler
        call = _Call(self._gate, self._domain, method, _metadata(details.invocation_metadata))
        return _wrapped(handler, call)


class _Call:
    """What one call needs around its behaviour."""

    def __init__(self, gate: Gate, domain: str, method: str, metadata: Mapping[str, str]) -> None:
        self._gate = gate
        self._domain = domain
        self._method = method
        self._metadata = metadata

    async def unary(
        self, behaviour: Callable[[Any, Context], Awaitable[Any]], request: Any, context: Context
    ) -> Any:
        with self._span() as span:
            try:
                with acting_as(self._gate.admit(self._method, self._metadata)):
                    return await behaviour(request, context)
            except DomainError as error:
                await self._refuse(error, context, span)
            except grpc.aio.AioRpcError as error:
                await self._relay(error, context)

    async def stream(
        self,
        behaviour: Callable[[Any, Context], AsyncIterator[Any]],
        request: Any,
        context: Context,
    ) -> AsyncIterator[Any]:
        # A stream that breaks off is finalised by another task, where what was entered here cannot
        # be left. Each RPC has a task and so a context of its own: nothing needs to be undone.
        parent = telemetry.extract(self._metadata)
        span = _tracer.start_span(
            self._method.lstrip("/"), context=parent, kind=trace.SpanKind.SERVER
        )
        otel_context.attach(trace.set_span_in_context(span, parent))
        leash: _Leash | None = None
        try:
            principal = self._gate.admit(self._method, self._metadata)
            act_as(principal)
            leash = _Leash(self._gate, principal)
            # A stream that breaks off may never resume this generator.
            context.add_done_callback(lambda _: leash.let_go())  # type: ignore[arg-type]
            async with leash.timeout:
                leash.hold()
                async for response in behaviour(request, context):
                    yield response
                leash.let_go()
        except TimeoutError:
            if leash is None or leash.refusal is None:
                raise
            await self._refuse(leash.refusal, context, span)
        except DomainError as error:
            await self._refuse(error, context, span)
        except grpc.aio.AioRpcError as error:
            await self._relay(error, context)
        finally:
            if leash is not None:
                leash.let_go()
            span.end()

    def _span(self) -> Any:
        return _tracer.start_as_current_span(
            self._method.lstrip("/"),
            context=telemetry.extract(self._metadata),
            kind=trace.SpanKind.SERVER,
            record_exception=False,
        )

    async def _refuse(self, error: DomainError, context: Context, span: trace.Span) -> None:
        span.set_attribute("odeon.reason", error.reason)
        _log.info("rpc_refused", method=self._method, reason=error.reason)
        await context.abort_with_status(rpc_status.to_status(to_status(error, self._domain)))

    async def _relay(self, error: grpc.aio.AioRpcError, context: Context) -> None:
        # A refusal of a service that we asked: the caller gets the same reason and code.
        status = rpc_status.from_call(error)
        if status is not None:
            await context.abort_with_status(rpc_status.to_status(status))
        await context.abort(error.code(), error.details() or "")


def _wrapped(
    handler: grpc.RpcMethodHandler[Any, Any], call: _Call
) -> grpc.RpcMethodHandler[Any, Any]:
    def unary(behaviour: Any) -> Any:
        async def run(request: Any, context: Context) -> Any:
            return await call.unary(behaviour, request, context)

        return run

    def stream(behaviour: Any) -> Any:
        async def run(request: Any, context: Context) -> AsyncIterator[Any]:
            async for response in call.stream(behaviour, request, context):
                yield response

        return run

    shapes: dict[tuple[bool, bool], tuple[str, Any, Any]] = {
        (False, False): ("unary_unary", grpc.unary_unary_rpc_method_handler, unary),
        (False, True): ("unary_stream", grpc.unary_stream_rpc_method_handler, stream),
        (True, False): ("stream_unary", grpc.stream_unary_rpc_method_handler, unary),
        (True, True): ("stream_stream", grpc.stream_stream_rpc_method_handler, stream),
    }
    name, make, wrap = shapes[(handler.request_streaming, handler.response_streaming)]
    wrapped: grpc.RpcMethodHandler[Any, Any] = make(
        wrap(getattr(handler, name)),
        request_deserializer=handler.request_deserializer,
        response_serializer=handler.response_serializer,
    )
    return wrapped


def _metadata(pairs: Any) -> dict[str, str]:
    return {key: value for key, value in pairs or () if isinstance(value, str)}


class GrpcServer:
    """A service's gRPC server as an async context manager.

    Args:
        host: address to bind to.
        port: port, or 0 for any; read it back from `port`.
        verifier: checks tokens.
        services: (add_…_to_server, servicer, service descriptor) of each service.
        domain: ErrorInfo domain, e.g. "room.odeon.live".
        grace_s: how long running calls may finish at stop, in seconds.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        verifier: Verifier,
        services: Sequence[Register],
        domain: str,
        grace_s: float = 3.0,
    ) -> None:
        descriptors = [descriptor for _, _, descriptor in services]
        gate = Gate(verifier, method_permissions(descriptors))
        self._server = grpc.aio.server(interceptors=[_Interceptor(gate, domain)], options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        for add, servicer, _ in services:
            add(servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        names = [d.full_name for d in descriptors]
        reflection.enable_server_reflection(
            [*names, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )
        self._names = ["", *names]
        self._grace_s = grace_s
        self.host = host
        self.port = self._server.add_insecure_port(f"{host}:{port}")

    @property
    def address(self) -> str:
        """Where to reach it, host:port."""
        return f"{self.host}:{self.port}"

    async def set_serving(self, serving: bool) -> None:
        """Tell health watchers whether new calls are welcome."""
        status = health_pb2.HealthCheckResponse
        for name in self._names:
            await self._health.set(name, status.SERVING if serving else status.NOT_SERVING)

    async def __aenter__(self) -> Self:
        """Start serving."""
        await self._server.start()
        await self.set_serving(True)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Not serving first, then stop with grace."""
        await self.set_serving(False)
        await self._server.stop(self._grace_s)
