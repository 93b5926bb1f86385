"""All HTTP routes of the gateway, and what holds for each of them."""

from collections.abc import MutableMapping, Sequence
from typing import Any

from odeon_runtime.http import AsgiApp, Receive, Scope, Send
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route, WebSocketRoute

from odeon_gateway.connect import ConnectHandler
from odeon_gateway.openapi import openapi_json
from odeon_gateway.pages import Pages
from odeon_gateway.public_files import PublicFiles
from odeon_gateway.refusals import refuse
from odeon_gateway.settings import GatewaySettings
from odeon_gateway.stage_socket import StageEndpoint
from odeon_gateway.steering import SteeringEndpoint
from odeon_gateway.traces import TraceEndpoint

_ANY = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_EXPOSED = [
    "Location",
    "ETag",
    "Link",
    "Accept-Patch",
    "Accept-Post",
    "Retry-After",
    "WWW-Authenticate",
]


def http_app(
    *,
    settings: GatewaySettings,
    connect: ConnectHandler,
    media: Sequence[BaseRoute],
    stage: StageEndpoint,
    steering: SteeringEndpoint,
    traces: TraceEndpoint,
    files: PublicFiles,
    pages: Pages,
) -> AsgiApp:
    """The gateway's HTTP side."""
    routes: list[BaseRoute] = [
        Route("/config.json", files.config),
        Route("/.well-known/jwks.json", files.jwks),
        Route("/healthz", files.health),
        Route("/readyz", files.health),
        Route("/openapi.json", _openapi),
        Route("/v1/traces", traces.__call__, methods=["POST"]),
        Route("/steering/{tenant}/{event}", steering.__call__),
        WebSocketRoute("/stage", stage.__call__),
        *media,
        Route("/odeon.{service}/{method}", connect.__call__, methods=_ANY),
        Route("/{path:path}", pages.__call__, methods=_ANY),
    ]
    cors = Middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PATCH", "DELETE", "OPTIONS"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
        max_age=7200,
    )
    return Starlette(
        routes=routes,
        middleware=[cors, Middleware(_NoSniff)],
        exception_handlers={Exception: _failed},
    )


async def _openapi(request: Request) -> Response:
    return Response(
        openapi_json(),
        media_type="application/json",
        headers={"cache-control": "public, max-age=300"},
    )


async def _failed(_: Request, error: Exception) -> Response:
    return refuse(error)


class _NoSniff:
    """Every answer says that its type is what it says, nothing to guess."""

    def __init__(self, app: AsgiApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, _with_header(send) if scope["type"] == "http" else send)


def _with_header(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            headers = message.setdefault("headers", [])
            if not any(name == b"x-content-type-options" for name, _ in headers):
                headers.append((b"x-content-type-options", b"nosniff"))
        await send(message)

    return sending
