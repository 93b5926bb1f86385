"""The web pages: files of the built app, with headers that let nothing else run."""

import gzip
import mimetypes
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from odeon_runtime.errors import NotFound
from starlette.requests import Request
from starlette.responses import Response

from odeon_gateway.refusals import MethodNotAllowed, refuse
from odeon_gateway.settings import GatewaySettings

_APP_PATHS = ("studio", "guest", "watch")
_HASHED = "/assets/"
_COMPRESSIBLE = ("text/", "application/javascript", "application/json", "image/svg+xml")
_SMALLEST_GZIP = 1024


@dataclass(frozen=True, slots=True)
class _File:
    body: bytes
    zipped: bytes | None
    media_type: str
    etag: str
    modified: str


class Pages:
    """GET / and everything below it that no other route takes."""

    def __init__(self, settings: GatewaySettings, media_origins: Callable[[], list[str]]) -> None:
        self._root = settings.web_root.resolve()
        self._settings = settings
        self._media_origins = media_origins

    async def __call__(self, request: Request) -> Response:
        """A file, or the app for one of its addresses."""
        if request.method not in ("GET", "HEAD"):
            return refuse(MethodNotAllowed("pages are read"))
        path = request.url.path
        found = self._find(path)
        if found is None:
            return refuse(NotFound("no such page"))
        file = _read(found, found.stat().st_mtime_ns)
        hashed = path.startswith(_HASHED)
        headers = {
            "etag": file.etag,
            "last-modified": file.modified,
            "cache-control": "public, max-age=31536000, immutable" if hashed else "no-cache",
            "vary": "Accept-Encoding",
            "content-security-policy": self.policy(),
            **_SECURITY,
        }
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=304, headers=headers)
        body = file.body
        if file.zipped is not None and "gzip" in request.headers.get("accept-encoding", ""):
            body = file.zipped
            headers["content-encoding"] = "gzip"
        return Response(body, media_type=file.media_type, headers=headers)

    def policy(self) -> str:
        """Content-Security-Policy: own scripts only; media from the edges, WHEP from here."""
        media = " ".join(
            dict.fromkeys(
                [
                    *edge_sources(self._settings.edge_url),
                    *self._media_origins(),
                    *self._settings.media_sources,
                ]
            )
        )
        public = urlsplit(self._settings.public_url)
        socket = f"{'wss' if public.scheme == 'https' else 'ws'}://{public.netloc}"
        return "; ".join(
            (
                "default-src 'none'",
                "script-src 'self'",
                "style-src 'self'",
                # Positions of menus are style attributes set by script; no style sheet comes so.
                "style-src-attr 'unsafe-inline'",
                "img-src 'self' data: blob:",
                "font-src 'self'",
                f"media-src 'self' blob: {media}",
                f"connect-src 'self' {socket} {media}",
                "worker-src 'self' blob:",
                "manifest-src 'self'",
                "base-uri 'none'",
                "form-action 'self'",
                "frame-ancestors 'self'",
            )
        )

    def _find(self, path: str) -> Path | None:
        relative = path.lstrip("/")
        if relative.split("/", 1)[0] in ("", *_APP_PATHS):
            relative = "index.html"
        try:
            wanted = (self._root / relative).resolve()
            inside = wanted.is_relative_to(self._root) and wanted.is_file()
        except (OSError, ValueError):
            return None
        return wanted if inside else None


_SECURITY = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": (
        "camera=(self), microphone=(self), display-capture=(self), autoplay=(self), "
        "fullscreen=(self), picture-in-picture=(self), geolocation=(), payment=(), usb=()"
    ),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def edge_sources(edge_url: str) -> list[str]:
    """What a policy must allow so that steering can move a viewer to any edge.

    Edges share one scheme and port. On bare addresses (a single machine) every host of that port
    is allowed; below a domain name, that name and its siblings are.
    """
    url = urlsplit(edge_url)
    port = f":{url.port}" if url.port else ""
    host = url.hostname or ""
    try:
        ip_address(host)
    except ValueError:
        parent = host.partition(".")[2]
        sources = [f"{url.scheme}://{host}{port}"]
        if "." in parent:
            sources.append(f"{url.scheme}://*.{parent}{port}")
        return sources
    return [f"{url.scheme}://*{port}"]


@lru_cache(maxsize=512)
def _read(path: Path, modified_ns: int) -> _File:
    body = path.read_bytes()
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if media_type == "text/javascript":
        media_type = "text/javascript; charset=utf-8"
    compressible = len(body) >= _SMALLEST_GZIP and media_type.startswith(_COMPRESSIBLE)
    return _File(
        body=body,
        zipped=gzip.compress(body, 9, mtime=0) if compressible else None,
        media_type=media_type,
        etag=f'"{sha256(body).hexdigest()[:24]}"',
        modified=formatdate(modified_ns / 1e9, usegmt=True),
    )
