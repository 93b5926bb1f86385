"""Plays LL-HLS: blocking reloads, parts as they appear, pictures decoded and read."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import av.error
import httpx

from odeon_cli.api import tls_context
from odeon_cli.console import CliError
from odeon_cli.watch.decode import FragmentDecoder, Picture
from odeon_cli.watch.measure import Bitrate, FrameCounter, Latencies, WatchReport
from odeon_cli.watch.playhead import Playhead
from odeon_cli.watch.playlist import (
    Main,
    Media,
    NotAPlaylist,
    Piece,
    newer,
    parse_main,
    parse_media,
    start_at,
)

# As the pages' player: 20 x 250 ms rides out a recorder's restart.
_RETRIES = 20
_RETRY_S = 0.25
_BLOCK_TIMEOUT_S = 12.0
_TICK_S = 0.02
_REPORT_S = 1.0
_READ_AHEAD_S = 8.0
START_TIMEOUT_S = 30.0
"""Whoever saw no picture after this long gives up."""


@dataclass(frozen=True, slots=True)
class _Fetched:
    piece: Piece
    pictures: tuple[Picture, ...]
    first_s: float
    end_s: float
    size: int


class _Track:
    """Follows one media playlist and fetches its pieces in order.

    Where one rendition has a gap, the next of `others` is followed instead, as players do: a
    transcoder that falls behind stops its top rung.
    """

    def __init__(self, http: httpx.AsyncClient, url: str, others: Sequence[str] = ()) -> None:
        self._http = http
        self._url = url
        self._others = list(others)
        self._decoders: dict[str, FragmentDecoder] = {}
        self.hold_back_s = 0.0
        self.retries = 0

    async def pieces(self) -> AsyncIterator[_Fetched]:
        """Everything from the join point on, until the stream ends."""
        media = await self._reload({})
        self.hold_back_s = media.hold_back_s
        wanted = start_at(media)
        last: tuple[int, int] | None = None
        while True:
            for piece in wanted:
                if piece.gap and self._others:
                    break
                yield await self._fetch(piece)
                last = piece.key
            else:
                if media.ended:
                    return
                media = await self._next(media)
                wanted = tuple(newer(media.pieces, last))
                continue
            self._url = self._others.pop(0)
            media = await self._reload({})
            wanted = start_at(media) if last is None else tuple(newer(media.pieces, last))

    @property
    def name(self) -> str:
        """The rendition that is followed now."""
        return urlsplit(self._url).path.rsplit("/", 2)[-2]

    async def _next(self, media: Media) -> Media:
        """The playlist when it has more than `media`."""
        query = {}
        if media.can_block:
            query = {"_HLS_msn": str(media.next_msn), "_HLS_part": str(media.next_part)}
            if media.can_skip:
                query["_HLS_skip"] = "YES"
        else:
            await asyncio.sleep(media.target_s / 2)
        return await self._reload(query, init_uri=media.init_uri)

    async def _reload(self, query: dict[str, str], *, init_uri: str = "") -> Media:
        response = await self.get(_with_query(self._url, query))
        try:
            return parse_media(response.text, init_uri=init_uri)
        except (NotAPlaylist, KeyError, ValueError) as error:
            raise CliError(f"{_public(self._url)} is not a media playlist: {error}") from error

    async def _fetch(self, piece: Piece) -> _Fetched:
        if piece.gap:
            return _Fetched(piece, (), 0.0, 0.0, 0)
        init_url = urljoin(self._url, piece.init_uri)
        decoder = self._decoders.get(init_url)
        if decoder is None:
            decoder = FragmentDecoder((await self.get(init_url)).content)
            self._decoders = {init_url: decoder}
        response = await self.get(urljoin(self._url, piece.uri))
        data = response.content
        try:
            pictures, first_s, end_s = await asyncio.to_thread(decoder.decode, data)
        except av.error.FFmpegError as error:
            raise CliError(f"{piece.uri} cannot be decoded: {error}") from error
        return _Fetched(piece, tuple(pictures), first_s, end_s, len(data))

    async def get(self, url: str) -> httpx.Response:
        """Fetch, asking again for a while; raises CliError with the last answer."""
        problem = ""
        for _ in range(_RETRIES):
            try:
                response = await self._http.get(url)
            except httpx.HTTPError as error:
                problem = str(error) or type(error).__name__
            else:
                if response.status_code == httpx.codes.OK:
                    return response
                problem = f"{response.status_code} {response.text.strip()[:120]}"
                if response.status_code in (400, 401, 403, 410, 421):
                    break
            self.retries += 1
            await asyncio.sleep(_RETRY_S)
        raise CliError(
            f"{_public(url)} answers {problem}",
            hint="is the event live (`odeon events list`), and is the token in the URL still good?",
        )


class HlsWatch:
    """One virtual viewer of an LL-HLS stream.

    Args:
        url: multivariant playlist.
        rendition: best track to watch, e.g. "v480"; empty takes the best there is.
        ca_file: PEM file of a local authority.
        on_report: called every second.
    """

    def __init__(
        self,
        url: str,
        *,
        rendition: str,
        ca_file: str,
        on_report: Callable[[WatchReport], None],
    ) -> None:
        self._url = url
        self._wanted = rendition
        self._on_report = on_report
        self._http = httpx.AsyncClient(
            verify=tls_context(ca_file),
            http2=url.startswith("https:"),
            timeout=httpx.Timeout(5.0, read=_BLOCK_TIMEOUT_S),
        )
        self._began = time.monotonic()
        self._startup_s: float | None = None
        self._playhead: Playhead | None = None
        self._ends = {"video": 0.0}
        self._pending: deque[tuple[Picture, float | None]] = deque()
        self._latencies = Latencies()
        self._bitrate = Bitrate()
        self._counter = FrameCounter()
        self._gaps: list[float] = []
        self._source = "none"
        self._rendition = rendition
        self._seconds: float | None = None
        self._limit: asyncio.Timeout | None = None
        self._over = False
        self._all_shown = asyncio.Event()

    async def run(self, seconds: float | None) -> None:
        """Play for so long from the first picture on, or to the end.

        Raises:
            CliError: it cannot go on, or there was no picture in time.
        """
        self._seconds = seconds
        try:
            with suppress(TimeoutError):
                async with (
                    asyncio.timeout(START_TIMEOUT_S) as self._limit,
                    asyncio.TaskGroup() as tasks,
                ):
                    main = await self._main()
                    video, audio = self._choose(main)
                    show = tasks.create_task(self._show_for_ever(), name="show")
                    followers = [tasks.create_task(self._follow("video", video), name="video")]
                    if audio:
                        self._ends["audio"] = 0.0
                        followers.append(
                            tasks.create_task(self._follow("audio", audio), name="audio")
                        )
                    await asyncio.gather(*followers)
                    await self._drained()
                    show.cancel()
        except ExceptionGroup as group:
            raise _first(group) from None
        finally:
            await self._http.aclose()

    def report(self) -> WatchReport:
        """Where it stands."""
        now = time.monotonic()
        playhead = self._playhead
        self._counter.settle()
        return WatchReport(
            protocol="hls",
            seconds=now - self._began,
            rendition=self._rendition,
            latency_source=self._source,
            latency_ms=self._latencies.last,
            latency_p50_ms=self._latencies.percentile(0.5),
            latency_p95_ms=self._latencies.percentile(0.95),
            bitrate_bps=self._bitrate.bps(now),
            startup_s=self._startup_s,
            stalls=len(playhead.stalls) + playhead.stalled if playhead else 0,
            stalled_s=playhead.stalled_s() if playhead else 0.0,
            gaps=len(self._gaps),
            gap_s=sum(self._gaps),
            frames=self._counter.frames,
            missing=self._counter.missing,
            repeated=self._counter.repeated,
        )

    async def _main(self) -> Main:
        track = _Track(self._http, self._url)
        response = await track.get(self._url)
        try:
            return parse_main(response.text)
        except (NotAPlaylist, ValueError) as error:
            raise CliError(f"{_public(self._url)} is not a main playlist: {error}") from error

    def _choose(self, main: Main) -> tuple[list[str], list[str]]:
        """Addresses of the rendition wanted and of those below it, and of its sound."""
        names = [rendition.uri.partition("/")[0] for rendition in main.renditions]
        if self._wanted and self._wanted not in names:
            hint = f"there are: {', '.join(names)}"
            raise CliError(f"there is no rendition {self._wanted}", hint=hint)
        first = names.index(self._wanted) if self._wanted else 0
        video = [urljoin(self._url, r.uri) for r in main.renditions[first:]]
        audio = main.audio.get(main.renditions[first].audio_group)
        return video, [urljoin(self._url, audio)] if audio else []

    async def _follow(self, kind: str, urls: Sequence[str]) -> None:
        track = _Track(self._http, urls[0], urls[1:])
        async for fetched in track.pieces():
            now = time.monotonic()
            if kind == "video":
                self._rendition = track.name
            if fetched.piece.gap:
                if kind == "video":
                    self._gaps.append(fetched.piece.duration_s)
                continue
            self._bitrate.add(now, fetched.size)
            self._ends[kind] = max(self._ends[kind], fetched.end_s)
            if kind == "video":
                self._take_pictures(fetched, track.hold_back_s, now)
            if self._playhead is not None:
                self._playhead.buffer_to(min(self._ends.values()), now_s=now)
                await self._not_too_far_ahead(kind)

    def _take_pictures(self, fetched: _Fetched, hold_back_s: float, now: float) -> None:
        capture = fetched.piece.capture
        for picture in fetched.pictures:
            shown = None
            if capture is not None:
                shown = (capture.timestamp() + picture.media_time_s - fetched.first_s) * 1000
            self._pending.append((picture, shown))
        if self._playhead is None and fetched.pictures:
            self._playhead = Playhead(hold_back_s)
            self._playhead.start(fetched.pictures[0].media_time_s, now_s=now)

    async def _not_too_far_ahead(self, kind: str) -> None:
        """A recording is fetched as it is watched, not all at once."""
        playhead = self._playhead
        while playhead is not None and playhead.position_s is not None:
            if self._ends[kind] - playhead.position_s < _READ_AHEAD_S:
                return
            await asyncio.sleep(_REPORT_S / 4)

    async def _drained(self) -> None:
        """Return when all that was fetched has been shown."""
        self._over = True
        if self._pending:
            await self._all_shown.wait()

    async def _show_for_ever(self) -> None:
        next_report = time.monotonic() + _REPORT_S
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            if self._playhead is not None:
                self._playhead.advance(now)
                self._show_due(self._playhead)
            if now >= next_report:
                next_report = now + _REPORT_S
                self._on_report(self.report())

    def _started(self) -> None:
        self._startup_s = time.monotonic() - self._began
        if self._limit is not None:
            now = asyncio.get_running_loop().time()
            self._limit.reschedule(None if self._seconds is None else now + self._seconds)

    def _show_due(self, playhead: Playhead) -> None:
        position = playhead.position_s
        now_ms = time.time() * 1000
        while self._pending and position is not None:
            picture, shown_ms = self._pending[0]
            if picture.media_time_s > position:
                return
            self._pending.popleft()
            if self._startup_s is None:
                self._started()
            # When it was due, not when this loop came round to it.
            due_ms = now_ms - (position - picture.media_time_s) * 1000
            if picture.card is not None:
                self._source = "test card"
                self._latencies.add(due_ms - picture.card.unix_ms)
            elif shown_ms is not None and self._source != "test card":
                self._source = "program date time"
                self._latencies.add(due_ms - shown_ms)
            self._counter.add(picture.card.counter if picture.card else None)
        if self._over and not self._pending:
            self._all_shown.set()


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _with_query(url: str, query: dict[str, str]) -> str:
    if not query:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(query=urlencode([*parse_qsl(parts.query), *query.items()])))


def _public(url: str) -> str:
    """The address without the token in its path."""
    parts = urlsplit(url)
    path = parts.path
    if path.startswith("/t/"):
        path = "/t/…/" + path[3:].partition("/")[2]
    return f"{parts.scheme}://{parts.netloc}{path}"
