"""Plays WHEP: encoded frames from the WebRTC client, decoded as they arrive."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from odeon_cli.console import CliError
from odeon_cli.publish.whip import Session, WebRtcHttp
from odeon_cli.watch.decode import FrameDecoder
from odeon_cli.watch.measure import Bitrate, FrameCounter, Latencies, WatchReport

if TYPE_CHECKING:
    from odeon_media import Client, Frame

_CONNECT_TIMEOUT_S = 15.0
_POLL_MS = 100
_REPORT_S = 1.0
START_TIMEOUT_S = 30.0
"""Whoever saw no picture after this long gives up."""
STALL_S = 0.3
"""A viewer notices when nothing moves for this long."""


class WhepWatch:
    """One virtual viewer of a WHEP stream.

    Args:
        http: the WHEP endpoint.
        bind_host: local address of the media socket.
        on_report: called every second.
    """

    def __init__(
        self, http: WebRtcHttp, *, bind_host: str, on_report: Callable[[WatchReport], None]
    ) -> None:
        self._http = http
        self._bind_host = bind_host
        self._on_report = on_report
        self._began = time.monotonic()
        self._startup_s: float | None = None
        self._last_frame_at: float | None = None
        self._stalls: list[float] = []
        self._decoder: tuple[str, FrameDecoder] | None = None
        self._latencies = Latencies()
        self._bitrate = Bitrate()
        self._counter = FrameCounter()
        self._codec = ""
        self._gaps = 0
        self._carded = False
        self._seconds: float | None = None
        self._limit: asyncio.Timeout | None = None

    async def run(self, seconds: float | None) -> None:
        """Play for so long from the first picture on.

        Raises:
            CliError: there is no connection, it is lost, or there was no picture in time.
        """
        self._seconds = seconds
        from odeon_media import Client

        client = Client(self._bind_host)
        session: Session | None = None
        try:
            offer = client.create_offer(video_codec=None, audio=True, direction="recvonly")
            session = await self._http.open(offer)
            client.set_answer(session.answer)
            with suppress(TimeoutError):
                async with asyncio.timeout(START_TIMEOUT_S) as self._limit:
                    await self._play(client)
        finally:
            if session is not None:
                await asyncio.shield(self._http.close(session))
            client.close()

    def report(self) -> WatchReport:
        """Where it stands."""
        now = time.monotonic()
        self._counter.settle()
        return WatchReport(
            protocol="whep",
            seconds=now - self._began,
            rendition=self._codec,
            latency_source="test card" if self._carded else "none",
            latency_ms=self._latencies.last,
            latency_p50_ms=self._latencies.percentile(0.5),
            latency_p95_ms=self._latencies.percentile(0.95),
            bitrate_bps=self._bitrate.bps(now),
            startup_s=self._startup_s,
            stalls=len(self._stalls),
            stalled_s=sum(self._stalls),
            gaps=self._gaps,
            gap_s=0.0,
            frames=self._counter.frames,
            missing=self._counter.missing,
            repeated=self._counter.repeated,
        )

    async def _play(self, client: "Client") -> None:
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        next_report = time.monotonic() + _REPORT_S
        while True:
            for frame in await asyncio.to_thread(client.recv, _POLL_MS):
                self._take(client, frame)
            for event in client.poll_events(0):
                if event.kind == "closed":
                    raise CliError(f"the connection ended: {event.reason}")
            now = time.monotonic()
            if not client.connected and now > deadline:
                raise CliError(
                    "the media connection was not made",
                    hint="UDP may be blocked between this machine and the signaling node",
                )
            if now >= next_report:
                next_report = now + _REPORT_S
                self._on_report(self.report())

    def _take(self, client: "Client", frame: "Frame") -> None:
        now = time.monotonic()
        self._bitrate.add(now, len(frame.data))
        if frame.kind != "video":
            return
        if not frame.contiguous or frame.dropped_before:
            self._gaps += 1
            client.request_keyframe(frame.mid)
        if self._decoder is None or self._decoder[0] != frame.codec:
            self._decoder = (frame.codec, FrameDecoder(frame.codec))
            self._codec = frame.codec
        for card in self._decoder[1].decode(frame.data):
            self._shown(now)
            if card is not None:
                self._carded = True
                self._latencies.add(time.time() * 1000 - card.unix_ms)
            self._counter.add(card.counter if card else None)

    def _shown(self, now: float) -> None:
        if self._startup_s is None:
            self._startup_s = now - self._began
            if self._limit is not None:
                end = asyncio.get_running_loop().time()
                self._limit.reschedule(None if self._seconds is None else end + self._seconds)
        elif self._last_frame_at is not None and now - self._last_frame_at > STALL_S:
            self._stalls.append(now - self._last_frame_at)
        self._last_frame_at = now
