"""A publication: a source, a WHIP session that is made again when it breaks, and a report."""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from odeon_cli.console import CliError
from odeon_cli.publish.clock import MediaClock
from odeon_cli.publish.sender import Sender, Sent
from odeon_cli.publish.whip import Away, Session, WebRtcHttp

if TYPE_CHECKING:
    from odeon_media import Client

_CONNECT_TIMEOUT_S = 15.0
_POLL_MS = 200
_RETRY_FIRST_S = 0.25
_RETRY_MAX_S = 4.0
_HELD_S = 10.0
_SILENCE_S = 4.0


class Source(Protocol):
    """Where pictures and sound come from."""

    has_video: bool
    has_audio: bool

    @property
    def description(self) -> str:
        """For people."""
        ...

    def threads(self, sender: Sender) -> Sequence[threading.Thread]:
        """Threads that feed the sender until its stop is set."""
        ...


@dataclass(frozen=True, slots=True)
class Report:
    """Where a publication stands."""

    seconds: float
    connected: bool
    sent: Sent
    since: Sent
    interval_s: float
    reconnects: int
    rtt_ms: float | None
    keyframe_requests: int

    @property
    def bitrate_bps(self) -> float:
        """Of the last interval."""
        return 8 * (self.since.video_bytes + self.since.audio_bytes) / max(self.interval_s, 1e-3)

    @property
    def frame_rate(self) -> float:
        """Pictures per second of the last interval."""
        return self.since.video_frames / max(self.interval_s, 1e-3)


class Publisher:
    """Publishes a source until it is stopped.

    Args:
        http: the WHIP endpoint.
        source: pictures and sound.
        bind_host: local address of the media socket.
        on_report: called every `interval_s` seconds, and once when it is connected.
    """

    def __init__(
        self,
        http: WebRtcHttp,
        source: Source,
        *,
        bind_host: str,
        on_report: Callable[[Report], None],
        interval_s: float = 1.0,
    ) -> None:
        self._interval_s = interval_s
        self._http = http
        self._source = source
        self._bind_host = bind_host
        self._on_report = on_report
        self._sender = Sender(MediaClock())
        self._client: Client | None = None
        self._last = Sent()
        self._last_at = time.monotonic()
        self._began = self._last_at
        self._reconnects = 0
        self._keyframe_requests = 0
        self._duration_s: float | None = None
        self._limit: asyncio.Timeout | None = None

    async def run(self, duration_s: float | None) -> None:
        """Publish for `duration_s` from the first connection on, or until cancelled.

        Raises:
            Refused: the endpoint does not want this.
            CliError: the source broke.
        """
        threads = self._source.threads(self._sender)
        for thread in threads:
            thread.start()
        self._duration_s = duration_s
        reporter = asyncio.create_task(self._report_for_ever(), name="report")
        try:
            async with asyncio.timeout(None) as self._limit:
                await self._stay_connected()
        except TimeoutError:
            pass
        finally:
            reporter.cancel()
            self._sender.stop.set()
            await asyncio.to_thread(_join, threads)
        failed = getattr(self._source, "failed", "")
        if failed:
            raise CliError(f"the file cannot be played on: {failed}")

    async def _stay_connected(self) -> None:
        delay = 0.0
        while not self._sender.stop.is_set():
            try:
                lived_s = await self._one_session()
                # One that is thrown out at once (somebody else uses the token) asks ever later.
                held = lived_s >= _HELD_S
                delay = (
                    _RETRY_FIRST_S if held else min(_RETRY_MAX_S, max(_RETRY_FIRST_S, delay * 2))
                )
            except Away:
                if self._reconnects == 0 and delay == 0.0:
                    raise
                delay = min(_RETRY_MAX_S, max(_RETRY_FIRST_S, delay * 2))
            self._reconnects += 1
            await asyncio.sleep(delay)

    async def _one_session(self) -> float:
        """Connect, stay until the connection is lost; how long that was, in seconds.

        Raises:
            Away, Refused: there was no connection.
        """
        from odeon_media import Client

        began = time.monotonic()
        client = Client(self._bind_host)
        session: Session | None = None
        try:
            offer = client.create_offer(
                video_codec="h264" if self._source.has_video else None,
                audio=self._source.has_audio,
                direction="sendonly",
            )
            session = await self._http.open(offer)
            client.set_answer(session.answer)
            self._client = client
            await self._serve(client)
            return time.monotonic() - began
        finally:
            self._client = None
            self._sender.disconnect()
            if session is not None:
                await asyncio.shield(self._http.close(session))
            client.close()

    async def _serve(self, client: "Client") -> None:
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        silence = _Silence()
        while not self._sender.stop.is_set():
            for event in await asyncio.to_thread(client.poll_events, _POLL_MS):
                if event.kind == "connected":
                    self._connected(client)
                elif event.kind == "keyframe_request":
                    self._keyframe_requests += 1
                    self._sender.want_keyframe()
                elif event.kind == "closed":
                    return
            if not client.connected and time.monotonic() > deadline:
                raise Away(
                    "the media connection was not made",
                    hint="UDP may be blocked between this machine and the signaling node",
                )
            if client.connected and silence.lasts(client.stats().packets_in):
                return

    def _connected(self, client: "Client") -> None:
        mids = {m.kind: m.mid for m in client.medias()}
        self._sender.connect(_Wire(client), mids.get("video"), mids.get("audio"))
        self._on_report(self.report())
        if self._duration_s is not None and self._limit is not None:
            self._limit.reschedule(asyncio.get_running_loop().time() + self._duration_s)
            self._duration_s = None

    async def _report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval_s)
            self._on_report(self.report())

    def report(self) -> Report:
        """Where it stands; intervals count from the last report."""
        now, sent = time.monotonic(), self._sender.sent
        client = self._client
        stats = client.stats() if client is not None and client.connected else None
        report = Report(
            seconds=now - self._began,
            connected=stats is not None,
            sent=sent,
            since=sent.minus(self._last),
            interval_s=now - self._last_at,
            reconnects=self._reconnects,
            rtt_ms=stats.rtt_ms if stats else None,
            keyframe_requests=self._keyframe_requests,
        )
        self._last, self._last_at = sent, now
        return report


class _Silence:
    """Notices a node that is gone: it sends feedback all the time, ICE gives up only after 30 s."""

    def __init__(self) -> None:
        self._packets = -1
        self._since = time.monotonic()

    def lasts(self, packets: int) -> bool:
        """Whether the counter of received packets has stood still for too long."""
        now = time.monotonic()
        if packets != self._packets:
            self._packets, self._since = packets, now
        return now - self._since > _SILENCE_S


class _Wire:
    """The client as the sender uses it: once closed it takes nothing, and that is no error."""

    def __init__(self, client: "Client") -> None:
        self._client = client

    def send(
        self,
        mid: str,
        payload: bytes,
        *,
        rtp_time: int,
        capture_time_us: int | None = None,
        rid: str | None = None,
        audio_level: int | None = None,
    ) -> bool:
        """Send one encoded frame; False when not connected."""
        from odeon_media import StateError

        try:
            return self._client.send(
                mid,
                payload,
                rtp_time=rtp_time,
                capture_time_us=capture_time_us,
                rid=rid,
                audio_level=audio_level,
            )
        except StateError:
            return False


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=2.0)
