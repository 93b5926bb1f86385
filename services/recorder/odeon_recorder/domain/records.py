"""What a timeline is made of: the facts of its log, and the segments that they add up to.

Times are integer nanoseconds on the event's clock: a third of a second adds up over hours.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

NS = 1_000_000_000
_PACKED = struct.Struct("<IQ?32s")


class Kind(Enum):
    """What a track carries."""

    VIDEO = "video"
    AUDIO = "audio"


class GapReason(Enum):
    """Why something is missing."""

    TAKE_OVER = "TAKE_OVER"
    """The owner fell silent; its successor starts at the next segment."""
    RUNG_STOPPED = "RUNG_STOPPED"
    """One rendition stayed behind the others or was not granted."""
    LOST = "LOST"
    """The timeline ended before this rendition had all that others have."""


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """One rendition, as its owner announced it. `codec` is RFC 6381."""

    track: str
    kind: Kind
    codec: str
    bandwidth_bps: int
    width_px: int
    height_px: int
    frame_rate: float
    part_target_ns: int
    segment_target_s: int


@dataclass(frozen=True, slots=True)
class Part:
    """A stored part of a segment."""

    size: int
    duration_ns: int
    independent: bool
    digest: bytes


def pack(parts: Iterable[Part]) -> bytes:
    """45 bytes a part: four hours of four tracks fit in 8 MB."""
    return b"".join(_PACKED.pack(p.size, p.duration_ns, p.independent, p.digest) for p in parts)


def unpack(packed: bytes) -> list[Part]:
    """The parts behind `pack`."""
    return [Part(*fields) for fields in _PACKED.iter_unpack(packed)]


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed segment, or a gap in its place (`gap` set, no parts)."""

    msn: int
    epoch: int
    start_ns: int
    duration_ns: int
    packed: bytes = b""
    size: int = 0
    gap: GapReason | None = None

    @property
    def end_ns(self) -> int:
        """Where the next one may start."""
        return self.start_ns + self.duration_ns

    @property
    def part_count(self) -> int:
        """Parts it holds; 0 for a gap."""
        return len(self.packed) // _PACKED.size

    @property
    def parts(self) -> list[Part]:
        """Its parts in order."""
        return unpack(self.packed)


@dataclass(frozen=True, slots=True)
class Granted:
    """An epoch was granted: everything is closed at one place and goes on there."""

    epoch: int
    owner: str
    at_ms: int
    next_msn: int
    start_ns: int
    tracks: tuple[TrackSpec, ...]


@dataclass(frozen=True, slots=True)
class InitStored:
    """The init section of a track's epoch."""

    track: str
    epoch: int
    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class PartStored:
    """A part was appended. `offset` is its place in the segment's bytes.

    `wall_ms` is the wall clock of the part's end: when that was captured where the owner says
    so (`captured`), its arrival otherwise. `last` closes the segment.
    """

    track: str
    epoch: int
    msn: int
    part: int
    offset: int
    size: int
    duration_ns: int
    independent: bool
    last: bool
    digest: bytes
    wall_ms: int
    captured: bool = False


@dataclass(frozen=True, slots=True)
class Gapped:
    """A track was closed and filled with gaps through segment `through`."""

    track: str
    through: int
    reason: GapReason


@dataclass(frozen=True, slots=True)
class Archived:
    """A segment is in object storage with this SHA-256; a gap has b""."""

    track: str
    msn: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """The timeline was closed for ever."""

    at_ms: int


Fact = Granted | InitStored | PartStored | Gapped | Archived | Ended
