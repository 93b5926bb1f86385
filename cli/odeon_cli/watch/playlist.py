"""Reads LL-HLS playlists (RFC 8216bis): what can be fetched now, and what to ask for next.

Written here because the libraries at hand lose EXT-X-MAP and EXT-X-DISCONTINUITY before the parts
of an unfinished segment, which is where a take-over shows first.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)')


class NotAPlaylist(ValueError):
    """The text is no playlist of the kind expected."""


@dataclass(frozen=True, slots=True)
class Rendition:
    """One line of a multivariant playlist."""

    uri: str
    bandwidth_bps: int
    height: int
    codecs: str
    audio_group: str


@dataclass(frozen=True, slots=True)
class Main:
    """A multivariant playlist: video renditions, best first, and audio URIs by group."""

    renditions: tuple[Rendition, ...]
    audio: dict[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """A part, or a whole segment whose parts are not listed any more.

    Attributes:
        msn: media sequence number of its segment.
        part: index in the segment; None for a whole segment.
        uri: relative to the playlist.
        duration_s: in seconds.
        independent: decoding can start here.
        gap: it does not exist (EXT-X-GAP).
        init_uri: of the EXT-X-MAP that applies.
        capture: EXT-X-PROGRAM-DATE-TIME of its start, if known.
    """

    msn: int
    part: int | None
    uri: str
    duration_s: float
    independent: bool
    gap: bool
    init_uri: str
    capture: datetime | None

    @property
    def key(self) -> tuple[int, int]:
        """Orders pieces; a whole segment comes before its first part."""
        return self.msn, -1 if self.part is None else self.part


@dataclass(frozen=True, slots=True)
class Media:
    """A media playlist."""

    pieces: tuple[Piece, ...]
    next_msn: int
    next_part: int
    hold_back_s: float
    target_s: float
    ended: bool
    can_block: bool
    can_skip: bool
    init_uri: str


@dataclass(slots=True)
class _Cursor:
    """What the lines read so far say about the next piece."""

    msn: int = 0
    init_uri: str = ""
    capture: datetime | None = None
    duration_s: float = 0.0
    gap: bool = False
    parts: list[Piece] = field(default_factory=list)

    def start_segment(self) -> None:
        self.msn += 1
        self.gap = False
        self.parts = []


def parse_main(text: str) -> Main:
    """Read a multivariant playlist; raises NotAPlaylist."""
    lines = _lines(text)
    renditions: list[Rendition] = []
    audio: dict[str, str] = {}
    for index, line in enumerate(lines):
        if line.startswith("#EXT-X-MEDIA:"):
            attributes = _attributes(line)
            if attributes.get("TYPE") == "AUDIO" and "URI" in attributes:
                audio.setdefault(attributes.get("GROUP-ID", ""), attributes["URI"])
        elif line.startswith("#EXT-X-STREAM-INF:") and index + 1 < len(lines):
            renditions.append(_rendition(_attributes(line), lines[index + 1]))
    if not renditions:
        raise NotAPlaylist("no renditions")
    renditions.sort(key=lambda r: (r.height, r.bandwidth_bps), reverse=True)
    return Main(tuple(renditions), audio)


def parse_media(text: str, *, init_uri: str = "") -> Media:
    """Read a media playlist; raises NotAPlaylist.

    `init_uri` is the last one of the playlist before: a delta update may leave it out.
    """
    lines = _lines(text)
    head: dict[str, str] = {}
    pieces: list[Piece] = []
    cursor = _Cursor(init_uri=init_uri)
    for line in lines:
        tag, _, value = line.partition(":")
        if not line.startswith("#"):
            pieces.extend(_closed_segment(cursor, line))
        elif tag in ("#EXT-X-SERVER-CONTROL", "#EXT-X-TARGETDURATION", "#EXT-X-ENDLIST"):
            head[tag] = value
        else:
            _read_tag(cursor, tag, value)
    pieces.extend(cursor.parts)
    if "#EXT-X-TARGETDURATION" not in head:
        raise NotAPlaylist("no target duration")
    control = _attributes(head.get("#EXT-X-SERVER-CONTROL", ""))
    target_s = float(head["#EXT-X-TARGETDURATION"])
    hold_back = control.get("PART-HOLD-BACK") or control.get("HOLD-BACK") or 3 * target_s
    return Media(
        pieces=tuple(pieces),
        next_msn=cursor.msn,
        next_part=len(cursor.parts),
        hold_back_s=float(hold_back),
        target_s=target_s,
        ended="#EXT-X-ENDLIST" in head,
        can_block=control.get("CAN-BLOCK-RELOAD") == "YES",
        can_skip="CAN-SKIP-UNTIL" in control,
        init_uri=cursor.init_uri,
    )


def newer(pieces: tuple[Piece, ...], last: tuple[int, int] | None) -> Iterator[Piece]:
    """Pieces after `last`, each moment of media once: parts where they are listed."""
    for piece in pieces:
        if last is None or piece.key > last:
            # A segment whose parts were taken already ends with them.
            if piece.part is None and last is not None and piece.msn == last[0]:
                continue
            yield piece


def start_at(media: Media) -> tuple[Piece, ...]:
    """The pieces that a player joining now takes: from an independent one behind the hold-back."""
    if media.ended:
        return media.pieces
    behind = 0.0
    for index in range(len(media.pieces) - 1, -1, -1):
        behind += media.pieces[index].duration_s
        if behind >= media.hold_back_s and media.pieces[index].independent:
            return media.pieces[index:]
    return media.pieces


def _read_tag(cursor: _Cursor, tag: str, value: str) -> None:
    if tag == "#EXT-X-MEDIA-SEQUENCE":
        cursor.msn = int(value)
    elif tag == "#EXT-X-SKIP":
        cursor.msn += int(_attributes(value)["SKIPPED-SEGMENTS"])
    elif tag == "#EXT-X-MAP":
        cursor.init_uri = _attributes(value)["URI"]
    elif tag == "#EXT-X-PROGRAM-DATE-TIME":
        cursor.capture = datetime.fromisoformat(value)
    elif tag == "#EXTINF":
        cursor.duration_s = float(value.partition(",")[0])
    elif tag == "#EXT-X-GAP":
        cursor.gap = True
    elif tag == "#EXT-X-PART":
        cursor.parts.append(_part(cursor, _attributes(value)))


def _part(cursor: _Cursor, attributes: dict[str, str]) -> Piece:
    before = sum(part.duration_s for part in cursor.parts)
    return Piece(
        msn=cursor.msn,
        part=len(cursor.parts),
        uri=attributes["URI"],
        duration_s=float(attributes["DURATION"]),
        independent=attributes.get("INDEPENDENT") == "YES",
        gap=attributes.get("GAP") == "YES",
        init_uri=cursor.init_uri,
        capture=_later(cursor.capture, before),
    )


def _closed_segment(cursor: _Cursor, uri: str) -> list[Piece]:
    whole = Piece(
        msn=cursor.msn,
        part=None,
        uri=uri,
        duration_s=cursor.duration_s,
        independent=True,
        gap=cursor.gap,
        init_uri=cursor.init_uri,
        capture=cursor.capture,
    )
    pieces = [replace(p, gap=p.gap or cursor.gap) for p in cursor.parts] or [whole]
    cursor.capture = _later(cursor.capture, cursor.duration_s)
    cursor.start_segment()
    return pieces


def _later(time: datetime | None, seconds: float) -> datetime | None:
    if time is None:
        return None
    return datetime.fromtimestamp(time.timestamp() + seconds, time.tzinfo)


def _rendition(attributes: dict[str, str], uri: str) -> Rendition:
    return Rendition(
        uri=uri,
        bandwidth_bps=int(attributes.get("BANDWIDTH", 0)),
        height=int(attributes.get("RESOLUTION", "0x0").partition("x")[2] or 0),
        codecs=attributes.get("CODECS", ""),
        audio_group=attributes.get("AUDIO", ""),
    )


def _lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines or lines[0] != "#EXTM3U":
        raise NotAPlaylist("does not begin with #EXTM3U")
    return [line for line in lines if line.startswith("#EXT") or not line.startswith("#")]


def _attributes(text: str) -> dict[str, str]:
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}
