"""The media core as this service sees it: refusals as `DomainError`, events on the event loop."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Self

import odeon_media
from odeon_media import NodeEvent, SfuNode
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.logs import logger

from odeon_signaling.settings import SignalingSettings

_POLL_MS = 200
_BATCHES_WAITING = 64
_JOIN_S = 2.0
_log = logger(__name__)


class MediaRefused(DomainError):
    """The media core said no; each of its reasons is a subclass."""


_KINDS: tuple[tuple[type[odeon_media.MediaError], Kind], ...] = (
    (odeon_media.InvalidSdpError, Kind.INVALID),
    (odeon_media.InvalidArgumentError, Kind.INVALID),
    (odeon_media.NotFoundError, Kind.NOT_FOUND),
    (odeon_media.StateError, Kind.PRECONDITION),
    (odeon_media.LimitError, Kind.EXHAUSTED),
)


@cache
def _refusal(kind: Kind, reason: str) -> type[MediaRefused]:
    return type(f"MediaRefused_{reason}", (MediaRefused,), {"kind": kind, "reason": reason})


@contextmanager
def refusals() -> Iterator[None]:
    """Turn refusals of the media core into refusals with the same reason."""
    try:
        yield
    except odeon_media.MediaError as error:
        kind = next((k for cls, k in _KINDS if isinstance(error, cls)), Kind.UNAVAILABLE)
        raise _refusal(kind, error.reason)(error.detail or error.reason) from error


class MediaNode:
    """The SFU with a reader thread that hands its events to the loop; an async context manager.

    Calls into `sfu` take well under a millisecond and never wait for packets, so they run on the
    loop. Events come in batches, in order; a slow loop makes them wait in the core's own queue.
    """

    def __init__(self, settings: SignalingSettings, advertise: Sequence[str]) -> None:
        with refusals():
            self.sfu = SfuNode(
                settings.media_host,
                settings.media_port,
                list(advertise),
                max_sessions=settings.max_sessions,
                connect_timeout_ms=int(settings.connect_s * 1000),
            )
        self._host = settings.media_host
        self._advertise = tuple(advertise)
        self._batches: asyncio.Queue[list[NodeEvent]] = asyncio.Queue(_BATCHES_WAITING)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def addresses(self) -> list[str]:
        """Where peers send media, host:port."""
        hosts = self._advertise or (self._host,)
        return [host if ":" in host else f"{host}:{self.sfu.port}" for host in hosts]

    async def __aenter__(self) -> Self:
        """Start reading events."""
        loop = asyncio.get_running_loop()
        self._thread = threading.Thread(
            target=self._read, args=(loop,), name="sfu-events", daemon=True
        )
        self._thread.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Say goodbye to all peers and close the port."""
        self._stopping.set()
        self.sfu.shutdown()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _JOIN_S)

    async def events(self) -> AsyncIterator[list[NodeEvent]]:
        """Batches of what happened, for ever."""
        while True:
            yield await self._batches.get()

    def etag(self, session: str) -> str:
        """Names the present ICE session (RFC 9725 section 4.3.1); changes with every restart."""
        with refusals():
            ours = self.sfu.local_ice(session)
            theirs = self.sfu.remote_ice(session) or ("", "")
        text = "\n".join((session, ours[0], theirs[0]))
        return hashlib.sha256(text.encode()).hexdigest()[:20]

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopping.is_set():
            batch = self.sfu.poll_events(_POLL_MS)
            if not batch:
                continue
            try:
                asyncio.run_coroutine_threadsafe(self._batches.put(batch), loop).result()
            except (RuntimeError, asyncio.CancelledError, TimeoutError):
                return  # the loop is gone; so is everybody who could use the event
