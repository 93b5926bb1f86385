"""`GET /<tenant>/<event>/…`: the origin that edges pull from, on the private network."""

import base64
import hashlib
import re
from urllib.parse import parse_qs

from odeon_runtime.http import Receive, Scope, Send
from odeon_runtime.ids import EventId, TenantId

from odeon_recorder.api.http import Answer, headers_of
from odeon_recorder.domain.directives import Directives
from odeon_recorder.domain.refusals import BadDirective, MediaNotFound
from odeon_recorder.ports import Key
from odeon_recorder.usecases import meters
from odeon_recorder.usecases.live import LiveTimeline
from odeon_recorder.usecases.recorder import Recorder
from odeon_recorder.usecases.rendering import Rendered

_MEDIA = re.compile(
    r"(?P<track>[a-z0-9][a-z0-9-]{0,62})/(?:"
    r"(?P<index>index\.m3u8)|init-(?P<epoch>[0-9]{1,9})\.mp4|"
    r"s(?P<segment>[0-9]{1,9})\.m4s|p(?P<msn>[0-9]{1,9})\.(?P<part>[0-9]{1,4})\.m4s)"
)
_RANGE = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))")
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, OPTIONS",
    "access-control-allow-headers": "Range, If-None-Match",
    "access-control-expose-headers": "Content-Length, Content-Range, Content-Digest, ETag, Date",
    "access-control-max-age": "86400",
}
FOREVER = "public, max-age=31536000, immutable"
"""Media never changes under its name."""
BLOCKING = "public, max-age=1"
"""A playlist under a directive's address is only ever newer than what was asked for."""
LATEST = "no-cache"
"""A playlist without directives must be asked for again; its ETag makes that cheap."""
ENDED = "public, max-age=30"
_PLAYLIST_TYPE = "application/vnd.apple.mpegurl"


class Origin:
    """Serves playlists and media of all tenants by path; the edge has checked the token."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; refusals are raised."""
        if scope["method"] == "OPTIONS":
            await Answer(204, headers=_CORS).send(scope, send)
            return
        if scope["method"] not in ("GET", "HEAD"):
            await Answer(405, headers={"allow": "GET, HEAD, OPTIONS"}).send(scope, send)
            return
        answer = await self.answer(scope["path"], scope["query_string"], headers_of(scope))
        await answer.send(scope, send)

    async def answer(self, path: str, query: bytes, headers: dict[str, str]) -> Answer:
        """The answer to a GET.

        Raises:
            TimelineNotFound, MediaNotFound, BadDirective, NotYet, InvalidArgument.
        """
        tenant, _, rest = path.removeprefix("/").partition("/")
        event, _, file = rest.partition("/")
        key = Key(TenantId.parse(tenant), EventId.parse(event))
        if file == "main.m3u8":
            meters.ORIGIN_REQUESTS.labels("multivariant").inc()
            rendered = await self._recorder.multivariant(key, gzip=_takes_gzip(headers))
            return _playlist(rendered, headers, LATEST)
        asked = _MEDIA.fullmatch(file)
        if asked is None:
            raise MediaNotFound("no such file")
        meters.ORIGIN_REQUESTS.labels(_kind(asked)).inc()
        live = await self._recorder.find(key)
        if asked["index"]:
            return await self._media_playlist(live, asked["track"], query, headers)
        return await self._media(live, asked, headers)

    async def _media_playlist(
        self, live: LiveTimeline, track: str, query: bytes, headers: dict[str, str]
    ) -> Answer:
        try:
            fields = parse_qs(query.decode("ascii"), keep_blank_values=True, max_num_fields=16)
        except (UnicodeDecodeError, ValueError):
            raise BadDirective("the query is malformed") from None
        directives = Directives.parse(fields)
        rendered = await live.playlist(track, directives, gzip=_takes_gzip(headers))
        if live.timeline.ended_ms is not None:
            return _playlist(rendered, headers, ENDED)
        return _playlist(rendered, headers, LATEST if directives.msn is None else BLOCKING)

    async def _media(
        self, live: LiveTimeline, asked: re.Match[str], headers: dict[str, str]
    ) -> Answer:
        track = asked["track"]
        if asked["epoch"]:
            data = await live.init(track, int(asked["epoch"]))
        elif asked["segment"]:
            data = await live.segment(track, int(asked["segment"]))
        else:
            data = await live.part(track, int(asked["msn"]), int(asked["part"]))
        kind = "audio/mp4" if track.startswith("a") else "video/mp4"
        return _file(data, kind, headers)


def _kind(asked: re.Match[str]) -> str:
    if asked["index"]:
        return "playlist"
    if asked["epoch"]:
        return "init"
    return "segment" if asked["segment"] else "part"


def _takes_gzip(headers: dict[str, str]) -> bool:
    return "gzip" in headers.get("accept-encoding", "")


def _playlist(rendered: Rendered, headers: dict[str, str], caching: str) -> Answer:
    out = {
        **_CORS,
        "content-type": _PLAYLIST_TYPE,
        "cache-control": caching,
        "etag": rendered.etag,
        "vary": "Accept-Encoding",
    }
    if _unchanged(headers, rendered.etag):
        return Answer(304, headers=out)
    if rendered.gzip:
        out["content-encoding"] = "gzip"
    return Answer(200, rendered.body, out)


def _file(data: bytes, kind: str, headers: dict[str, str]) -> Answer:
    digest = hashlib.sha256(data).digest()
    etag = f'"{digest[:12].hex()}"'
    out = {
        **_CORS,
        "content-type": kind,
        "cache-control": FOREVER,
        "etag": etag,
        "accept-ranges": "bytes",
    }
    if _unchanged(headers, etag):
        return Answer(304, headers=out)
    wanted = headers.get("range")
    if wanted is None or headers.get("if-range", etag) != etag:
        out["content-digest"] = f"sha-256=:{base64.b64encode(digest).decode()}:"
        return Answer(200, data, out)
    return _range(data, wanted, out)


def _range(data: bytes, wanted: str, out: dict[str, str]) -> Answer:
    """One byte range (RFC 9110 14); several, or none that we understand, give the whole."""
    found = _RANGE.fullmatch(wanted)
    if found is None:
        return Answer(200, data, out)
    if found[3]:
        start, stop = max(0, len(data) - int(found[3])), len(data)
    else:
        start = int(found[1])
        stop = min(len(data), int(found[2]) + 1) if found[2] else len(data)
    if start >= len(data) or start >= stop:
        return Answer(416, headers={**out, "content-range": f"bytes */{len(data)}"})
    out["content-range"] = f"bytes {start}-{stop - 1}/{len(data)}"
    return Answer(206, data[start:stop], out)


def _unchanged(headers: dict[str, str], etag: str) -> bool:
    known = headers.get("if-none-match", "")
    return known == "*" or etag in (tag.strip().removeprefix("W/") for tag in known.split(","))
