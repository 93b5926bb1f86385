"""An HTTP server inside the service's own event loop: uvicorn, made to start and stop as we do."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, Self

from opentelemetry import trace

from odeon_runtime import telemetry

if TYPE_CHECKING:
    from odeon_runtime.http_guard import HttpLimits

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_tracer = telemetry.tracer(__name__)


class HttpServer:
    """Serves an ASGI app; an async context manager.

    Args:
        app: the application.
        host: address to bind to.
        port: port, or 0 for any; read it back from `port`.
        grace_s: how long open requests may finish at stop, in seconds.
        certificate: PEM file of certificate and key for TLS; None serves plain HTTP.
        limits: what a connection may cost; None takes the defaults of `HttpLimits`.
    """

    def __init__(
        self,
        app: AsgiApp,
        *,
        host: str,
        port: int,
        grace_s: float = 2.0,
        certificate: tuple[str, str] | None = None,
        limits: "HttpLimits | None" = None,
    ) -> None:
        import uvicorn

        from odeon_runtime.http_guard import HttpLimits, guarded

        self._socket = socket.create_server((host, port), backlog=4096, reuse_port=False)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        tls: dict[str, Any] = {}
        if certificate is not None:
            tls = {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]}
        self._server = uvicorn.Server(
            uvicorn.Config(
                traced(app),
                http=guarded(limits or HttpLimits()),
                lifespan="off",
                log_level="warning",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=True,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=max(1, int(grace_s)),
                ws_max_size=256 * 1024,
                **tls,
            )
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def address(self) -> str:
        """Where to reach it, host:port."""
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        """Start serving."""
        config = self._server.config
        if not config.loaded:
            config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=[self._socket])
        self._task = asyncio.create_task(self._server.main_loop(), name="http-server")
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop taking requests, let open ones finish, close."""
        self._server.should_exit = True
        if self._task is not None:
            await self._task
        await self._server.shutdown(sockets=[self._socket])


def traced(app: AsgiApp) -> AsgiApp:
    """Continue the caller's trace; requests without one start none (playlists are many)."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        headers = {k.decode("latin1"): v.decode("latin1") for k, v in scope.get("headers", ())}
        if "traceparent" not in headers:
            await app(scope, receive, send)
            return
        name = f"{scope.get('method', scope['type'])} {scope['path'].split('/')[1]}"
        with _tracer.start_as_current_span(
            name, context=telemetry.extract(headers), kind=trace.SpanKind.SERVER
        ):
            await app(scope, receive, send)

    return wrapped
