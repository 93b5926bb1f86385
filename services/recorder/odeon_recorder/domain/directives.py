"""Delivery directives (RFC 8216bis 6.2.5): what a playlist request waits for."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from odeon_recorder.domain.records import NS
from odeon_recorder.domain.refusals import BadDirective
from odeon_recorder.domain.track import Track

BLOCK_TARGETS = 3
"""A request is held for at most this many target durations, then answered with 503."""
AHEAD_SEGMENTS = 2
"""A segment further ahead than this is refused with 400."""
_NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Directives:
    """`_HLS_msn`, `_HLS_part` and `_HLS_skip` of a request."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False

    @classmethod
    def parse(cls, query: Mapping[str, Sequence[str]]) -> "Directives":
        """Read a query; raises BadDirective. Parameters of other names are ignored."""
        msn = _number(query, "_HLS_msn")
        part = _number(query, "_HLS_part")
        if part is not None and msn is None:
            raise BadDirective("_HLS_part needs _HLS_msn")
        skip = _single(query, "_HLS_skip")
        if skip not in (None, "YES", "v2"):
            raise BadDirective("_HLS_skip is YES or v2")
        return cls(msn, part, skip is not None)


def is_ready(asked: Directives, track: Track, *, part_target_ns: int) -> bool:
    """Whether the playlist already has what was asked for; False means: wait.

    Raises:
        BadDirective: it asks further ahead than any player has reason to.
    """
    if asked.msn is None:
        return True
    msn, part = asked.msn, asked.part
    if msn < track.next_msn:
        if part is None or part <= max(0, track.segments[msn].part_count - 1):
            return True
        # 6.2.5.2: beyond a segment's final part means part 0 of the next one.
        msn, part = msn + 1, 0
        if msn < track.next_msn:
            return True
    if msn > max(track.last_msn, 0) + AHEAD_SEGMENTS:
        raise BadDirective(f"the last segment is {track.last_msn}", last_msn=str(track.last_msn))
    have = len(track.open.parts) if track.open and track.open.msn == msn else 0
    if part is None:
        return False
    if part > have - 1 + advance_limit(part_target_ns):
        raise BadDirective(f"segment {msn} has {have} parts", last_msn=str(track.last_msn))
    return part < have


def advance_limit(part_target_ns: int) -> int:
    """How many parts ahead a request may ask (6.2.5.2: three seconds' worth, at least three)."""
    return max(3, math.ceil(3 * NS / part_target_ns))


def is_hinted(track: Track, msn: int, part: int) -> bool:
    """Whether this part is the one that EXT-X-PRELOAD-HINT names now."""
    return (msn, part) == track.next_part


def _single(query: Mapping[str, Sequence[str]], name: str) -> str | None:
    values = query.get(name)
    if not values:
        return None
    if len(values) > 1:
        raise BadDirective(f"{name} is given more than once")
    return values[0]


def _number(query: Mapping[str, Sequence[str]], name: str) -> int | None:
    text = _single(query, name)
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise BadDirective(f"{name} is a decimal number")
    return int(text)
