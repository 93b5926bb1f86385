"""What the recorder holds of an event, read from it directly: no cache stands in between."""

import asyncio
import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx
from odeon_testkit.llhls import Listed, parse
from odeon_testkit.llhls import renditions as addresses
from odeon_testkit.llhls_model import ListedSegment
from odeon_testkit.product import Product
from odeon_testkit.wait import until

_AT_ONCE = 8
_BACK_S = 20.0
_WHOLE = 0.9
"""Share of the target duration; audio ends its segments within a frame of it."""

Digests = Mapping[str, str]
"""SHA-256 of what an address answers."""


@dataclass(frozen=True, slots=True)
class Origin:
    """One event at the recorder's private port.

    Attributes:
        main: address of the multivariant playlist.
    """

    http: httpx.AsyncClient
    main: str

    async def playlists(self) -> dict[str, Listed]:
        """All media playlists as they are now, by address."""
        main = (await self.http.get(self.main)).raise_for_status().text
        urls = [urljoin(self.main, uri) for uri in addresses(main)]
        answers = await asyncio.gather(*(self.http.get(url) for url in urls))
        return {
            url: parse(answer.raise_for_status().text)
            for url, answer in zip(urls, answers, strict=True)
        }

    async def digests(self, known: Digests | None = None) -> Digests:
        """Init sections, segments and parts that are listed now, those of open segments too.

        Args:
            known: not asked for again.

        Raises:
            LookupError: something is listed and cannot be had.
        """
        found = dict(known or {})
        listed = {
            urljoin(url, uri)
            for url, playlist in (await self.playlists()).items()
            for uri in _media(playlist)
        }
        for url, digest in (await self._digests(listed - found.keys())).items():
            if digest is None:
                raise LookupError(f"{url} is listed and cannot be had")
            found[url] = digest
        return found

    async def lost(self, before: Digests) -> list[str]:
        """What cannot be had any more as it was; a recorder that restarts has time to come back."""
        with suppress(TimeoutError):
            await until(self._answers, timeout_s=_BACK_S)
        after = await self._digests(before.keys())
        return [url for url, digest in before.items() if after[url] != digest]

    async def _answers(self) -> bool:
        try:
            return (await self.http.get(self.main)).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def _digests(self, urls: Collection[str]) -> dict[str, str | None]:
        """None for what cannot be had."""
        limit = asyncio.Semaphore(_AT_ONCE)

        async def digest(url: str) -> str | None:
            async with limit:
                try:
                    answer = (await self.http.get(url)).raise_for_status()
                except httpx.HTTPError:
                    return None
            return hashlib.sha256(answer.content).hexdigest()

        return dict(zip(urls, await asyncio.gather(*map(digest, urls)), strict=True))


def origin_of(product: Product, http: httpx.AsyncClient) -> Origin:
    """The demo event at the recorder; players have a token in the path, the recorder has none."""
    path = product["playlist_url"].partition("/t/")[2].partition("/")[2]
    return Origin(http, f"http://{product.address('recorder', 'http')}/{path}")


def segments_of(playlist: Listed) -> list[ListedSegment]:
    """All that is listed, the open segment too."""
    return [*playlist.segments, *([playlist.open] if playlist.open else [])]


def new_gaps(before: Mapping[str, Listed], after: Mapping[str, Listed]) -> int:
    """Renditions that are missing something of what was open before, or of the segment behind it.

    A rung that rested before goes on resting: that is no loss.
    """
    return sum(
        any(_holed(segment) for segment in segments_of(after[url]) if 0 <= segment.msn - msn <= 1)
        for url, playlist in before.items()
        for msn in [playlist.edge[0]]
        if not any(_holed(segment) for segment in segments_of(playlist)[-2:])
    )


def closed_between(before: Listed, after: Listed) -> list[int]:
    """Media sequence numbers of segments that their encoder closed since, so that it was told.

    A missing one is none, nor is a short one: the recorder closed that, for a rung that rests or
    an owner that is gone.
    """
    whole_s = _WHOLE * after.number("EXT-X-TARGETDURATION")
    return [
        segment.msn
        for segment in after.segments
        if segment.msn >= before.edge[0] and not segment.gap and segment.duration_s >= whole_s
    ]


def aligned(playlists: Collection[Listed]) -> bool:
    """Whether there are discontinuities, at the same segments of all renditions.

    What comes behind the shortest playlist's end is left out: renditions are not read at once.
    """
    shared = min(segments_of(playlist)[-1].msn for playlist in playlists)
    marks = {
        tuple(s.msn for s in segments_of(playlist) if s.discontinuity and s.msn <= shared)
        for playlist in playlists
    }
    return len(marks) == 1 and marks != {()}


def _holed(segment: ListedSegment) -> bool:
    return segment.gap or any(part.gap for part in segment.parts)


def _media(playlist: Listed) -> Iterator[str]:
    for segment in segments_of(playlist):
        if segment.gap:
            continue
        if segment.map:
            yield segment.map
        if segment.uri:
            yield segment.uri
        yield from (part.uri for part in segment.parts if not part.gap)
