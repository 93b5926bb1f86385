"""The WebRTC side of a job: one `odeon_media.Client` at a time, replaced when it breaks."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from odeon_media import Client, Frame, MediaError

_log = logging.getLogger(__name__)


class Session:
    """Receives from whatever connection there is; a `FrameSource` for the floor."""

    def __init__(self, bind_host: str, *, on_lost: Callable[[str], None]) -> None:
        self._bind_host = bind_host
        self._on_lost = on_lost
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether media can come in."""
        client = self._client
        return client is not None and client.connected

    def join(self) -> None:
        """Forget the old connection; the next offer opens a new one."""
        with self._lock:
            old, self._client = self._client, None
        if old is not None:
            old.close()

    def accept(self, sdp: str) -> str:
        """Answer an offer. Raises `odeon_media.MediaError` for one that cannot be used."""
        with self._lock:
            if self._client is None:
                self._client = Client(self._bind_host)
                threading.Thread(
                    target=self._follow, args=(self._client,), name="client-events", daemon=True
                ).start()
            return self._client.accept_offer(sdp)

    def recv(self, timeout_ms: int, max: int = 64) -> Sequence[Frame]:
        """Frames of the present connection."""
        client = self._client
        if client is None:
            time.sleep(min(timeout_ms, 20) / 1000)
            return ()
        return client.recv(timeout_ms, max)

    def request_keyframe(self, mid: str) -> None:
        """Ask through the present connection, if it knows the line."""
        client = self._client
        if client is None:
            return
        try:
            client.request_keyframe(mid)
        except MediaError as error:
            _log.info("no_keyframe_asked reason=%s", error.reason)

    def close(self) -> None:
        """Leave."""
        self._closed = True
        self.join()

    def _follow(self, client: Client) -> None:
        while client is self._client and not self._closed:
            for event in client.poll_events(500):
                if event.kind == "closed" and client is self._client and not self._closed:
                    self._on_lost(event.reason or "CLOSED")
                    return
