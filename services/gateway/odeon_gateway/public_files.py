"""Small documents about the deployment: configuration of the pages, keys, health."""

import json
from pathlib import Path
from typing import Any

from odeon_runtime.trust import TrustStore
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from odeon_gateway.settings import GatewaySettings

_DEMO_FIELDS = ("title", "watch_url", "studio_url")
_MAX_DEMO_BYTES = 16 * 1024


class PublicFiles:
    """/config.json, /.well-known/jwks.json, /healthz, /readyz."""

    def __init__(self, settings: GatewaySettings, trust: TrustStore) -> None:
        self._settings = settings
        self._trust = trust

    async def config(self, request: Request) -> Response:
        """What the pages must know before anybody has signed in."""
        body = {
            "api_key_required": self._settings.api_key_required,
            "demo": demo(self._settings.demo),
            "traces": bool(self._settings.otlp_endpoint),
        }
        return JSONResponse(body, headers={"cache-control": "no-store"})

    async def jwks(self, request: Request) -> Response:
        """The public keys of this deployment's tokens, RFC 7517."""
        return Response(
            self._trust.jwks_json,
            media_type="application/jwk-set+json",
            headers={"cache-control": "public, max-age=30"},
        )

    async def health(self, request: Request) -> Response:
        """The process answers. A lost dependency is told, and changes nothing."""
        return JSONResponse(
            {"status": "ok", "trust": self._trust.ready.is_set()},
            headers={"cache-control": "no-store"},
        )


def demo(path: Path | None) -> dict[str, str] | None:
    """The demo event, if one is running; a file in the middle of being written is none."""
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            data: Any = json.loads(file.read(_MAX_DEMO_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict):
        return None
    found = {field: data.get(field) for field in _DEMO_FIELDS}
    return found if all(isinstance(value, str) for value in found.values()) else None  # type: ignore[return-value]
