"""Live rules of LL-HLS: what successive answers of an origin must hold, and a player that looks."""

import asyncio
import time
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpx

from odeon_testkit.llhls_model import Finding, Listed, ListedSegment, attributes, merge, parse
from odeon_testkit.llhls_static import check_presentation, check_static

_FIXED_TAGS = (
    "EXT-X-VERSION",
    "EXT-X-TARGETDURATION",
    "EXT-X-SERVER-CONTROL",
    "EXT-X-PART-INF",
    "EXT-X-PLAYLIST-TYPE",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Delivery directives of a request."""

    msn: int | None = None
    part: int | None = None
    skip: bool = False

    def query(self) -> str:
        """The canonical query string, with "?" if there is one."""
        fields = []
        if self.msn is not None:
            fields.append(f"_HLS_msn={self.msn}")
        if self.part is not None:
            fields.append(f"_HLS_part={self.part}")
        if self.skip:
            fields.append("_HLS_skip=YES")
        return "?" + "&".join(fields) if fields else ""


class LiveChecker:
    """Follows one media playlist. Feed it every answer in the order of the requests."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.findings: list[Finding] = []
        self.current: Listed | None = None
        self.answers = 0

    def feed(self, status: int, text: str, asked: Asked = Asked()) -> list[Finding]:
        """Check an answer; returns what is new."""
        before = len(self.findings)
        if status != 200:
            self._find("status", f"{status} for {asked.query() or 'the playlist'}")
            return self.findings[before:]
        self.answers += 1
        self.findings += check_static(text)
        listed = parse(text)
        if listed.skipped and not asked.skip:
            self._find("6.2.5.1", "a delta update that nobody asked for")
        if asked.msn is not None and not listed.has(asked.msn, asked.part):
            self._find("6.2.5.2", f"the answer lacks {asked.query()}; its edge is {listed.edge}")
        if listed.skipped:
            if self.current is None:
                self._find("6.2.5.1", "a delta update before any full playlist")
                return self.findings[before:]
            if listed.skipped > len(self.current.segments):
                self._find("6.2.5.1", "it skips segments that were never listed")
            listed = merge(self.current, listed)
        if self.current is not None:
            self._compare(self.current, listed)
        self.current = listed
        return self.findings[before:]

    def feed_pair(self, full: str, delta: str) -> list[Finding]:
        """A full playlist and a delta update of one state must say the same."""
        before = len(self.findings)
        whole, update = parse(full), parse(delta)
        if whole.edge == update.edge:
            merged = merge(whole, update)
            if [_shape(s) for s in merged.segments] != [_shape(s) for s in whole.segments]:
                self._find("6.2.5.1", "the delta update is not the playlist without old segments")
            if merged.hints != whole.hints:
                self._find("6.2.5.1", "the delta update hints something else")
        return self.findings[before:]

    def _compare(self, old: Listed, new: Listed) -> None:
        for tag in _FIXED_TAGS:
            if old.tags.get(tag) != new.tags.get(tag):
                self._find("6.2.1", f"{tag} has changed")
        if new.first_msn < old.first_msn:
            self._find("6.2.2", "EXT-X-MEDIA-SEQUENCE went back")
        if new.edge < old.edge:
            self._find("6.2.1", f"the playlist went back from {old.edge} to {new.edge}")
        if old.ended and (not new.ended or new.edge != old.edge):
            self._find("6.2.1", "a finished playlist went on")
        shift = new.first_msn - old.first_msn
        for was, now in zip(old.segments[shift:], new.segments, strict=False):
            if was.identity() != now.identity():
                self._find("6.2.1", f"segment {was.msn} has changed")
            if was.parts and now.parts and was.parts != now.parts:
                self._find("6.2.1", f"parts of segment {was.msn} have changed")
        self._compare_open(old, new)

    def _compare_open(self, old: Listed, new: Listed) -> None:
        if old.open is None:
            return
        now = _segment(new, old.open.msn)
        if now is None:
            self._find("6.2.1", f"open segment {old.open.msn} has vanished")
        elif now.parts and now.parts[: len(old.open.parts)] != old.open.parts:
            self._find("6.2.1", f"parts of open segment {old.open.msn} have changed")

    def _find(self, rule: str, message: str) -> None:
        prefix = f"{self.name}: " if self.name else ""
        self.findings.append(Finding(rule, prefix + message))


def _segment(listed: Listed, msn: int) -> ListedSegment | None:
    if listed.open and listed.open.msn == msn:
        return listed.open
    return next((s for s in reversed(listed.segments) if s.msn == msn), None)


def _shape(segment: ListedSegment) -> tuple[object, ...]:
    return (*segment.identity(), segment.map)


@dataclass
class Report:
    """What a watch has seen."""

    findings: list[Finding] = field(default_factory=list)
    answers: int = 0
    parts: int = 0
    segments: int = 0
    ended: bool = False


async def watch(
    url: str, seconds: float, *, client: httpx.AsyncClient | None = None, media: bool = True
) -> Report:
    """Play a presentation like a careful player for some time, or until it ends.

    Args:
        url: of the multivariant playlist.
        seconds: how long, at most.
        client: to use instead of one of its own.
        media: fetch parts and segments, too, and compare them with each other.
    """
    own = client or httpx.AsyncClient(timeout=15)
    report = Report()
    try:
        answer = await own.get(url)
        if answer.status_code != 200:
            report.findings.append(Finding("status", f"{answer.status_code} for {url}"))
            return report
        report.findings += check_static(answer.text)
        watchers = [
            _Watcher(own, urljoin(url, uri), uri, report, media=media)
            for uri in renditions(answer.text)
        ]
        until = time.monotonic() + seconds
        async with asyncio.TaskGroup() as group:
            for watcher in watchers:
                group.create_task(watcher.run(until), name=f"watch {watcher.name}")
        report.findings += check_presentation({w.name: w.latest for w in watchers if w.latest})
        report.ended = all(w.ended for w in watchers)
    finally:
        if client is None:
            await own.aclose()
    return report


def renditions(multivariant: str) -> list[str]:
    """URIs of all media playlists."""
    found: list[str] = []
    for line in multivariant.splitlines():
        if line.startswith("#EXT-X-MEDIA:"):
            found.append(attributes(line.partition(":")[2]).get("URI", ""))
        elif line and not line.startswith("#"):
            found.append(line)
    return list(dict.fromkeys(uri for uri in found if uri))


class _Watcher:
    """Follows one rendition by blocking reloads."""

    def __init__(
        self, client: httpx.AsyncClient, url: str, name: str, report: Report, *, media: bool
    ) -> None:
        self._client = client
        self._url = url
        self._report = report
        self._media = media
        self._checker = LiveChecker(name)
        self._parts: dict[str, bytes] = {}
        self._fetched: set[str] = set()
        self.name = name
        self.latest = ""

    @property
    def ended(self) -> bool:
        """Whether the playlist is finished."""
        return bool(self._checker.current and self._checker.current.ended)

    async def run(self, until: float) -> None:
        await self._ask(Asked())
        skip = True
        while time.monotonic() < until and not self.ended and self._checker.current:
            await self._fetch_new(self._checker.current)
            msn, part = self._checker.current.edge
            try:
                async with asyncio.timeout(max(0.05, until - time.monotonic())):
                    if not await self._ask(Asked(msn, part, skip=skip)):
                        await asyncio.sleep(0.25)
            except TimeoutError:
                break
            skip = not skip
        if not self.ended:
            await self._compare_forms()
        self._report.findings += self._checker.findings

    async def _ask(self, asked: Asked) -> bool:
        answer = await self._get(self._url + asked.query())
        if answer is None:
            return False
        # A blocked request may end with 503 while no encoder runs: that breaks no rule.
        if answer.status_code == 503:
            return False
        self._checker.feed(answer.status_code, answer.text, asked)
        self._report.answers += 1
        if answer.status_code == 200 and not asked.skip:
            self.latest = answer.text
        return answer.status_code == 200

    async def _compare_forms(self) -> None:
        full, delta = await asyncio.gather(
            self._get(self._url), self._get(self._url + Asked(skip=True).query())
        )
        if full is not None and delta is not None:
            self.latest = full.text
            self._checker.feed_pair(full.text, delta.text)

    async def _fetch_new(self, listed: Listed) -> None:
        if not self._media:
            return
        recent = listed.segments[-3:]
        for segment in [*recent, *([listed.open] if listed.open else [])]:
            if segment.gap:
                continue
            for part in segment.parts:
                if part.uri not in self._parts:
                    self._parts[part.uri] = await self._must_get(part.uri)
                    self._report.parts += 1
            if segment.uri and segment.parts and segment.uri not in self._fetched:
                self._fetched.add(segment.uri)
                whole = await self._must_get(segment.uri)
                self._report.segments += 1
                if whole != b"".join(self._parts.pop(p.uri) for p in segment.parts):
                    self._find(f"{segment.uri} is not its parts put together")
                self._parts.update({p.uri: b"" for p in segment.parts})
            if segment.map and segment.map not in self._fetched:
                self._fetched.add(segment.map)
                await self._must_get(segment.map)

    async def _must_get(self, uri: str) -> bytes:
        answer = await self._get(urljoin(self._url, uri))
        if answer is None or answer.status_code != 200:
            self._find(f"{uri} is listed but answers {answer.status_code if answer else 'nothing'}")
            return b""
        return answer.content

    async def _get(self, url: str) -> httpx.Response | None:
        try:
            return await self._client.get(url)
        except httpx.TransportError:
            return None

    def _find(self, message: str) -> None:
        self._checker.findings.append(Finding("6.2.1", f"{self.name}: {message}"))
