"""Bytes of a playlist, made once per state however many viewers wait for it.

The compressor and the hash are copied where the settled text ends, so that a four-hour playlist
costs what its last seconds cost.
"""

import hashlib
import zlib
from dataclasses import dataclass

from odeon_recorder.domain.playlist import MediaPlaylist
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.domain.track import Track

GZIP_LEVEL = 6
_GZIP_WBITS = 31


@dataclass(frozen=True, slots=True)
class Rendered:
    """A playlist as it goes out."""

    body: bytes
    etag: str
    gzip: bool


def rendered(text: bytes, *, gzip: bool) -> Rendered:
    """A text in one go."""
    tag = hashlib.blake2b(text, digest_size=12).hexdigest()
    if not gzip:
        return Rendered(text, f'"{tag}"', gzip=False)
    squeezer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
    return Rendered(squeezer.compress(text) + squeezer.flush(), f'"{tag}-gz"', gzip=True)


class RenderedPlaylist:
    """One track's playlist in its forms, for the timeline's present version."""

    def __init__(self, timeline: Timeline, track: Track) -> None:
        self._timeline = timeline
        self._playlist = MediaPlaylist(timeline, track)
        self._version = -1
        self._forms: dict[tuple[bool, bool], Rendered] = {}
        self._fed = 0
        self._hash = hashlib.blake2b(self._playlist.head.encode(), digest_size=12)
        self._squeezer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP_WBITS)
        self._squeezed = bytearray(self._squeezer.compress(self._playlist.head.encode()))

    def get(self, *, delta: bool, gzip: bool) -> Rendered:
        """The present playlist, whole or as a delta update."""
        if self._version != self._timeline.version:
            self._forms.clear()
            self._version = self._timeline.version
        form = self._forms.get((delta, gzip))
        if form is None:
            form = self._delta(gzip=gzip) if delta else self._full(gzip=gzip)
            self._forms[(delta, gzip)] = form
        return form

    def _delta(self, *, gzip: bool) -> Rendered:
        return rendered(self._playlist.delta().encode(), gzip=gzip)

    def _full(self, *, gzip: bool) -> Rendered:
        playlist = self._playlist
        playlist.settle()
        self._feed()
        tail = playlist.tail().encode()
        digest = self._hash.copy()
        digest.update(tail)
        tag = digest.hexdigest()
        if not gzip:
            return Rendered(
                playlist.head.encode() + playlist.settled + tail, f'"{tag}"', gzip=False
            )
        squeezer = self._squeezer.copy()
        body = bytes(self._squeezed) + squeezer.compress(tail) + squeezer.flush()
        return Rendered(body, f'"{tag}-gz"', gzip=True)

    def _feed(self) -> None:
        settled = self._playlist.settled
        if self._fed < len(settled):
            fresh = bytes(settled[self._fed :])
            self._fed = len(settled)
            self._hash.update(fresh)
            self._squeezed += self._squeezer.compress(fresh)
