"""A playlist taken apart for checking; knows the tags of RFC 8216bis that live playlists use."""

import re
from dataclasses import dataclass, field
from datetime import datetime

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"]*"|[^",]*)(?:,|$)')


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken rule. `rule` names the section of RFC 8216bis or the kind of check."""

    rule: str
    message: str
    severe: bool = True

    def __str__(self) -> str:
        """For reports."""
        return f"{'error' if self.severe else 'warning'} [{self.rule}] {self.message}"


def errors(findings: list[Finding]) -> list[Finding]:
    """Without warnings: only broken MUSTs."""
    return [finding for finding in findings if finding.severe]


@dataclass(frozen=True, slots=True)
class ListedPart:
    """An EXT-X-PART."""

    uri: str
    duration_s: float
    independent: bool = False
    gap: bool = False


@dataclass(slots=True)
class ListedSegment:
    """A media segment; `map` is the EXT-X-MAP in force, `uri` is "" while it is incomplete."""

    msn: int
    uri: str = ""
    duration_s: float = 0.0
    date_s: float | None = None
    gap: bool = False
    discontinuity: bool = False
    map: str = ""
    new_map: bool = False
    parts: list[ListedPart] = field(default_factory=list)

    def identity(self) -> tuple[object, ...]:
        """What must never change once it is listed."""
        return (self.msn, self.uri, self.duration_s, self.date_s, self.gap, self.discontinuity)


@dataclass(slots=True)
class Listed:
    """A media playlist."""

    tags: dict[str, list[str]] = field(default_factory=dict)
    segments: list[ListedSegment] = field(default_factory=list)
    open: ListedSegment | None = None
    first_msn: int = 0
    skipped: int = 0
    hints: list[dict[str, str]] = field(default_factory=list)
    reports: list[dict[str, str]] = field(default_factory=list)
    ended: bool = False

    def attributes(self, tag: str) -> dict[str, str]:
        """Attributes of a tag that is given once."""
        return attributes(self.tags.get(tag, [""])[0])

    def number(self, tag: str, default: float = 0.0) -> float:
        """A tag's decimal value."""
        return to_number(self.tags.get(tag, [""])[0], default)

    @property
    def part_target_s(self) -> float:
        """PART-TARGET, 0 without parts."""
        return to_number(self.attributes("EXT-X-PART-INF").get("PART-TARGET", ""), 0.0)

    @property
    def edge(self) -> tuple[int, int]:
        """Media sequence number and index of what comes next."""
        msn = self.first_msn + self.skipped + len(self.segments)
        return msn, len(self.open.parts) if self.open else 0

    def has(self, msn: int, part: int | None) -> bool:
        """Whether the playlist answers `_HLS_msn` and `_HLS_part` (6.2.5.2)."""
        if self.ended:
            return True
        next_msn, open_parts = self.edge
        if part is None:
            return msn < next_msn
        if msn >= next_msn:
            return msn == next_msn and part < open_parts
        index = msn - self.first_msn - self.skipped
        known = self.segments[index] if 0 <= index < len(self.segments) else None
        if known is None or not known.parts or part < len(known.parts) or msn + 1 < next_msn:
            return True
        return open_parts > 0


def attributes(text: str) -> dict[str, str]:
    """An attribute list, quotes removed."""
    return {name: value.strip('"') for name, value in _ATTRIBUTE.findall(text)}


def to_number(text: str, default: float) -> float:
    """A decimal number or the default."""
    try:
        return float(text)
    except ValueError:
        return default


def parse(text: str) -> Listed:
    """Take a media playlist apart; what is malformed is left out, checks find it."""
    return _Parser().run(text)


class _Parser:
    def __init__(self) -> None:
        self._listed = Listed()
        self._segment: ListedSegment | None = None
        self._map = ""

    def run(self, text: str) -> Listed:
        listed = self._listed
        for line in text.splitlines():
            if line.startswith("#EXT"):
                self._tag(line)
            elif line and not line.startswith("#"):
                segment = self._current()
                segment.uri = line
                listed.segments.append(segment)
                self._segment = None
        listed.open = self._segment if self._segment and self._segment.parts else None
        return listed

    def _current(self) -> ListedSegment:
        if self._segment is None:
            listed = self._listed
            msn = listed.first_msn + listed.skipped + len(listed.segments)
            self._segment = ListedSegment(msn, map=self._map)
        return self._segment

    def _tag(self, line: str) -> None:
        name, _, value = line[1:].partition(":")
        self._listed.tags.setdefault(name, []).append(value)
        match name:
            case "EXT-X-MEDIA-SEQUENCE":
                self._listed.first_msn = int(to_number(value, 0))
            case "EXT-X-SKIP":
                skipped = attributes(value).get("SKIPPED-SEGMENTS", "0")
                self._listed.skipped = int(to_number(skipped, 0))
            case "EXT-X-ENDLIST":
                self._listed.ended = True
            case "EXT-X-PRELOAD-HINT":
                self._listed.hints.append(attributes(value))
            case "EXT-X-RENDITION-REPORT":
                self._listed.reports.append(attributes(value))
            case _:
                self._segment_tag(name, value)

    def _segment_tag(self, name: str, value: str) -> None:
        match name:
            case "EXTINF":
                self._current().duration_s = to_number(value.split(",")[0], -1.0)
            case "EXT-X-GAP":
                self._current().gap = True
            case "EXT-X-DISCONTINUITY":
                self._current().discontinuity = True
            case "EXT-X-PROGRAM-DATE-TIME":
                self._current().date_s = to_date(value)
            case "EXT-X-MAP":
                self._map = attributes(value).get("URI", "")
                segment = self._current()
                segment.map, segment.new_map = self._map, True
            case "EXT-X-PART":
                self._current().parts.append(_part(attributes(value)))


def _part(given: dict[str, str]) -> ListedPart:
    return ListedPart(
        given.get("URI", ""),
        to_number(given.get("DURATION", ""), -1.0),
        given.get("INDEPENDENT") == "YES",
        given.get("GAP") == "YES",
    )


def to_date(text: str) -> float | None:
    """ISO 8601 to Unix seconds; None if it is malformed or has no zone."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo else None


def merge(before: Listed, delta: Listed) -> Listed:
    """A delta update applied to what the player has (6.2.5.1)."""
    if not delta.skipped:
        return delta
    start = delta.first_msn - before.first_msn
    kept = before.segments[start : start + delta.skipped]
    in_force = kept[-1].map if kept else ""
    for segment in [*delta.segments, *([delta.open] if delta.open else [])]:
        if segment.new_map:
            in_force = segment.map
        segment.map = in_force
    return Listed(
        tags={k: v for k, v in delta.tags.items() if k != "EXT-X-SKIP"},
        segments=[*kept, *delta.segments],
        open=delta.open,
        first_msn=delta.first_msn,
        hints=delta.hints,
        reports=delta.reports,
        ended=delta.ended,
    )
