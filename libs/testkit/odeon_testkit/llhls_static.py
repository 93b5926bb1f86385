"""Static rules of LL-HLS (RFC 8216bis): what one playlist alone, or one presentation, must hold."""

from collections.abc import Iterator, Mapping

from odeon_testkit.llhls_model import (
    Finding,
    Listed,
    ListedSegment,
    attributes,
    parse,
    to_number,
)

MIN_PART_SHARE = 0.85
PDT_TOLERANCE_S = 0.1
"""Dates are written in milliseconds, and audio and video frames do not end together."""
_SUM_TOLERANCE_S = 0.001
_VERSIONS = {"EXT-X-MAP": 6, "EXT-X-GAP": 8, "EXT-X-SKIP": 9, "EXT-X-PART": 6}


def check_static(text: str) -> list[Finding]:
    """All findings about one playlist, multivariant or media."""
    findings = list(_form(text))
    if "#EXT-X-STREAM-INF" in text:
        return findings + list(_multivariant(text))
    listed = parse(text)
    rules = (_head, _server_control, _segments, _parts, _edge, _dates, _maps)
    return findings + [finding for rule in rules for finding in rule(listed)]


def check_presentation(playlists: Mapping[str, str]) -> list[Finding]:
    """Rules across the media playlists of one presentation (6.2.4), by name."""
    listed = {name: parse(text) for name, text in playlists.items()}
    findings: list[Finding] = []
    if not listed:
        return findings
    first_name, first = next(iter(listed.items()))
    for name, other in listed.items():
        for tag in ("EXT-X-TARGETDURATION", "EXT-X-SERVER-CONTROL", "EXT-X-PLAYLIST-TYPE"):
            if other.tags.get(tag) != first.tags.get(tag):
                findings.append(Finding("6.2.4", f"{tag} differs: {name} and {first_name}"))
        findings += _aligned(first_name, first, name, other)
    return findings


def _aligned(first_name: str, first: Listed, name: str, other: Listed) -> Iterator[Finding]:
    pairs = {segment.msn: segment for segment in other.segments}
    for segment in first.segments:
        twin = pairs.get(segment.msn)
        if twin is None:
            continue
        where = f"segment {segment.msn} of {first_name} and {name}"
        if segment.discontinuity != twin.discontinuity:
            yield Finding("6.2.4", f"discontinuities are not aligned: {where}")
        if segment.date_s is None or twin.date_s is None:
            continue
        if abs(segment.date_s - twin.date_s) > PDT_TOLERANCE_S:
            yield Finding("6.2.4", f"program dates are not aligned: {where}")


def _form(text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    if not lines or lines[0] != "#EXTM3U":
        yield Finding("4.4.1.1", "the first line is not #EXTM3U")
    if text.startswith("\ufeff") or any(ord(c) < 32 and c not in "\r\n" for c in text):
        yield Finding("4.1", "byte order mark or control character")
    for line in lines:
        uri = line if not line.startswith("#") else attributes(line).get("URI", "")
        if uri and ("//" in uri or uri.startswith("/") or ":" in uri.split("/")[0]):
            yield Finding("relative", f"{uri} is not relative: it would leave the token's path")
    version = next((line for line in lines if line.startswith("#EXT-X-VERSION:")), ":1")
    number = to_number(version.split(":")[1], 0)
    if sum(line.startswith("#EXT-X-VERSION:") for line in lines) > 1:
        yield Finding("4.4.1.2", "EXT-X-VERSION more than once")
    for tag, needed in _VERSIONS.items():
        if number < needed and any(line.startswith(f"#{tag}:") for line in lines):
            yield Finding("8", f"{tag} needs version {needed}")


def _multivariant(text: str) -> Iterator[Finding]:
    lines = text.splitlines()
    groups = {
        attributes(line.partition(":")[2]).get("GROUP-ID", "")
        for line in lines
        if line.startswith("#EXT-X-MEDIA:")
    }
    for index, line in enumerate(lines):
        given = attributes(line.partition(":")[2])
        if line.startswith("#EXT-X-MEDIA:"):
            for name in ("TYPE", "GROUP-ID", "NAME"):
                if name not in given:
                    yield Finding("4.4.6.1", f"EXT-X-MEDIA without {name}")
        if line.startswith("#EXT-X-CONTENT-STEERING:") and "SERVER-URI" not in given:
            yield Finding("4.4.6.6", "EXT-X-CONTENT-STEERING without SERVER-URI")
        if not line.startswith("#EXT-X-STREAM-INF:"):
            continue
        if not given.get("BANDWIDTH", "").isdigit():
            yield Finding("4.4.6.2", "EXT-X-STREAM-INF without BANDWIDTH")
        if "CODECS" not in given:
            yield Finding("4.4.6.2", "EXT-X-STREAM-INF without CODECS", severe=False)
        if given.get("AUDIO") and given["AUDIO"] not in groups:
            yield Finding("4.4.6.2", f"no EXT-X-MEDIA of group {given['AUDIO']}")
        if index + 1 >= len(lines) or lines[index + 1].startswith("#"):
            yield Finding("4.4.6.2", "EXT-X-STREAM-INF without a URI line")


def _head(listed: Listed) -> Iterator[Finding]:
    targets = listed.tags.get("EXT-X-TARGETDURATION", [])
    if len(targets) != 1 or not targets[0].isdigit():
        yield Finding("4.4.3.1", "EXT-X-TARGETDURATION is a decimal integer, once")
    kind = listed.tags.get("EXT-X-PLAYLIST-TYPE", ["EVENT"])
    if kind not in (["EVENT"], ["VOD"]):
        yield Finding("4.4.3.5", "EXT-X-PLAYLIST-TYPE is EVENT or VOD")
    if listed.tags.get("EXT-X-PLAYLIST-TYPE") and listed.first_msn != 0:
        yield Finding("6.2.2", "an EVENT playlist never loses segments", severe=False)
    for tag in ("EXT-X-MEDIA-SEQUENCE", "EXT-X-DISCONTINUITY-SEQUENCE", "EXT-X-SKIP"):
        if len(listed.tags.get(tag, [])) > 1:
            yield Finding("4.4.3", f"{tag} more than once")
    if "EXT-X-SKIP" in listed.tags:
        if listed.skipped < 1:
            yield Finding("4.4.5.2", "SKIPPED-SEGMENTS is at least 1")
        if listed.ended:
            yield Finding("6.2.5.1", "a finished playlist is never a delta update")


def _server_control(listed: Listed) -> Iterator[Finding]:
    control = listed.attributes("EXT-X-SERVER-CONTROL")
    target = listed.number("EXT-X-TARGETDURATION")
    skip = control.get("CAN-SKIP-UNTIL")
    if skip is not None and to_number(skip, 0) < 6 * target:
        yield Finding("4.4.3.8", "CAN-SKIP-UNTIL is at least six target durations")
    hold = control.get("HOLD-BACK")
    if hold is not None and to_number(hold, 0) < 3 * target:
        yield Finding("4.4.3.8", "HOLD-BACK is at least three target durations")
    part_target = listed.part_target_s
    if not part_target:
        return
    part_hold = to_number(control.get("PART-HOLD-BACK", ""), 0)
    if part_hold < 2 * part_target:
        yield Finding("4.4.3.8", "PART-HOLD-BACK is at least twice PART-TARGET")
    elif abs(part_hold - 3 * part_target) > 1e-6:
        yield Finding("4.4.3.8", "PART-HOLD-BACK should be three times PART-TARGET", severe=False)
    if control.get("CAN-BLOCK-RELOAD") != "YES" and not listed.ended:
        yield Finding("B.1", "low latency needs CAN-BLOCK-RELOAD=YES")


def _segments(listed: Listed) -> Iterator[Finding]:
    target = listed.number("EXT-X-TARGETDURATION")
    seen: set[str] = set()
    for segment in listed.segments:
        if segment.duration_s < 0 or ("EXTINF" not in listed.tags):
            yield Finding("4.4.4.1", f"segment {segment.msn} has no EXTINF")
        if int(segment.duration_s + 0.5) > target:
            yield Finding("4.4.3.1", f"segment {segment.msn} exceeds the target duration")
        if segment.uri in seen:
            yield Finding("media", f"{segment.uri} is listed twice", severe=False)
        seen.add(segment.uri)


def _parts(listed: Listed) -> Iterator[Finding]:
    target = listed.part_target_s
    if "EXT-X-PART" in listed.tags and not target:
        yield Finding("4.4.3.7", "EXT-X-PART without EXT-X-PART-INF")
    end = sum(s.duration_s for s in listed.segments)
    end += sum(p.duration_s for p in listed.open.parts) if listed.open else 0.0
    reached = 0.0
    window = 3 * listed.number("EXT-X-TARGETDURATION")
    for segment in listed.segments:
        reached += segment.duration_s
        yield from _part_sizes(segment, target, closed=True)
        if segment.parts and reached < end - window - _SUM_TOLERANCE_S and not listed.ended:
            yield Finding("6.2.2", f"parts of old segment {segment.msn} are listed", severe=False)
        total = sum(part.duration_s for part in segment.parts)
        if segment.parts and abs(total - segment.duration_s) > _SUM_TOLERANCE_S:
            yield Finding("4.4.4.9", f"parts of {segment.msn} last {total}, not its EXTINF")
    if listed.open:
        yield from _part_sizes(listed.open, target, closed=False)


def _part_sizes(segment: ListedSegment, target: float, *, closed: bool) -> Iterator[Finding]:
    for index, part in enumerate(segment.parts):
        where = f"part {index} of segment {segment.msn}"
        if not part.uri or part.duration_s < 0:
            yield Finding("4.4.4.9", f"{where} lacks URI or DURATION")
        if part.duration_s > target + 1e-6:
            yield Finding("4.4.4.9", f"{where} is longer than PART-TARGET")
        # An open segment's last part may turn out to be its last one of all.
        final = index == len(segment.parts) - 1
        if part.duration_s < MIN_PART_SHARE * target - 1e-6 and not part.gap and not final:
            yield Finding("4.4.4.9", f"{where} is shorter than 85 % of PART-TARGET")
    if segment.gap and segment.parts and not all(part.gap for part in segment.parts):
        yield Finding("6.2.1", f"gap {segment.msn} lists parts without GAP=YES")
    if closed and segment.parts and not segment.parts[0].independent:
        yield Finding("media", f"segment {segment.msn} starts without INDEPENDENT", severe=False)


def _edge(listed: Listed) -> Iterator[Finding]:
    kinds = [hint.get("TYPE") for hint in listed.hints]
    for hint in listed.hints:
        if hint.get("TYPE") not in ("PART", "MAP") or not hint.get("URI"):
            yield Finding("4.4.5.3", "EXT-X-PRELOAD-HINT needs TYPE and URI")
    if len(set(kinds)) != len(kinds):
        yield Finding("6.2.6", "more than one EXT-X-PRELOAD-HINT of a type", severe=False)
    if listed.ended and (listed.hints or listed.reports):
        yield Finding("4.4.5", "hints or reports in a finished playlist", severe=False)
    listed_uris = {p.uri for s in listed.segments for p in s.parts}
    listed_uris |= {p.uri for p in listed.open.parts} if listed.open else set()
    for hint in listed.hints:
        if hint.get("URI") in listed_uris:
            yield Finding("4.4.5.3", f"hint {hint['URI']} is listed already")
    for report in listed.reports:
        if not report.get("URI") or not report.get("LAST-MSN", "").isdigit():
            yield Finding("4.4.5.4", "EXT-X-RENDITION-REPORT needs URI and LAST-MSN")
        if listed.part_target_s and not report.get("LAST-PART", "").isdigit():
            yield Finding("4.4.5.4", "EXT-X-RENDITION-REPORT needs LAST-PART")


def _dates(listed: Listed) -> Iterator[Finding]:
    if not any(s.date_s is not None for s in listed.segments):
        if listed.segments and not listed.skipped:
            yield Finding("4.4.4.6", "no EXT-X-PROGRAM-DATE-TIME at all", severe=False)
        return
    before: ListedSegment | None = None
    for segment in [*listed.segments, *([listed.open] if listed.open else [])]:
        if segment.discontinuity and segment.date_s is None:
            yield Finding("6.2.1", f"discontinuity {segment.msn} without a date", severe=False)
        if before and before.date_s is not None and segment.date_s is not None:
            step = segment.date_s - before.date_s - before.duration_s
            hole = segment.discontinuity or segment.gap or before.gap
            if step < -PDT_TOLERANCE_S:
                yield Finding("6.2.1", f"the date of segment {segment.msn} goes back {-step:.3f} s")
            elif step > PDT_TOLERANCE_S and not hole:
                yield Finding("6.2.1", f"the date of segment {segment.msn} jumps {step:.3f} s")
        before = segment


def _maps(listed: Listed) -> Iterator[Finding]:
    for segment in listed.segments:
        inherited = listed.skipped and not segment.map
        if not segment.map and not segment.gap and not inherited:
            yield Finding("4.4.4.5", f"segment {segment.msn} has no EXT-X-MAP: fMP4 needs one")
