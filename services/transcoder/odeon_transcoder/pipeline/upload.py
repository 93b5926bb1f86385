"""Sends parts to the recorder and keeps each until it is acknowledged.

One thread and one keep-alive connection per track: the order within a track holds, tracks do not
wait for each other. Repeating a part is harmless, the recorder knows it by its digest.
"""

import base64
import hashlib
import http.client
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from odeon_transcoder.pipeline.media import Part

_log = logging.getLogger(__name__)

_TIMEOUT_S = 5.0
_MAX_WAITING = 180
"""Parts of a track that may wait: a minute without a recorder."""
_FIRST_RETRY_S = 0.05
_MAX_RETRY_S = 0.5
_ORDER_PATIENCE_S = 8.0
"""OUT_OF_ORDER heals by itself while other tracks catch up; later than this it never will."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the parts of an epoch go."""

    base_url: str
    tenant: str
    event: str
    epoch: int

    def path(self, track: str, place: str) -> str:
        """Request path of an init section or part."""
        base = urlsplit(self.base_url).path.rstrip("/")
        return f"{base}/ingest/{self.tenant}/{self.event}/{track}/{place}"


@dataclass(frozen=True, slots=True)
class UploadEvents:
    """What the programme wants to hear; called from upload threads."""

    acknowledged: Callable[[Part, float], None]
    """A part and its capture-to-acknowledgement time in seconds."""
    lost: Callable[[str], None]
    """The epoch cannot go on: FENCED, ENDED, BROKEN."""
    unauthorised: Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Item:
    place: str
    data: bytes
    headers: dict[str, str]
    part: Part | None


class Bearer:
    """The service token for uploads, replaced now and then by the parent."""

    def __init__(self, token: str = "") -> None:
        self.token = token


class TrackUploader:
    """Uploads one track of one epoch."""

    def __init__(self, track: str, target: Target, bearer: Bearer, events: UploadEvents) -> None:
        self.track = track
        self._target = target
        self._bearer = bearer
        self._events = events
        self._queue: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._closing = False
        self._dead = False
        self._skip_segment: int | None = None
        self._order_since_s: float | None = None
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=f"upload-{track}", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Parts not acknowledged yet."""
        return len(self._queue)

    def init(self, data: bytes) -> None:
        """Send the epoch's init section."""
        self._put(_Item("init", data, {"Content-Type": "video/mp4"}, None))

    def part(self, part: Part) -> None:
        """Send a part after everything before it."""
        headers = {
            "Content-Type": "video/iso.segment",
            "Odeon-Duration": f"{part.duration_ns / 1e9:.9f}",
            "Odeon-Independent": "?1" if part.independent else "?0",
            "Odeon-Last": "?1" if part.last else "?0",
        }
        if part.ends_s is not None:
            headers["Odeon-Capture"] = str(round(part.ends_s * 1000))
        self._put(_Item(f"{part.msn}/{part.part}", part.data, headers, part))

    def close(self, timeout_s: float = 5.0) -> bool:
        """Send what waits, then stop; whether everything was acknowledged."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=timeout_s)
        self._dead = True
        return not self._queue

    def abandon(self) -> None:
        """Stop at once; what waits is dropped."""
        with self._changed:
            self._dead = True
            self._queue.clear()
            self._changed.notify()

    def _put(self, item: _Item) -> None:
        with self._changed:
            if self._dead:
                return
            if len(self._queue) >= _MAX_WAITING:
                self._die("BROKEN")
                return
            self._queue.append(item)
            self._changed.notify()

    def _run(self) -> None:
        retry_s = _FIRST_RETRY_S
        while (item := self._head()) is not None:
            try:
                status, reason = self._send(item)
            except (OSError, http.client.HTTPException) as error:
                _log.info("upload_failed track=%s error=%s", self.track, type(error).__name__)
                self._disconnect()
                status, reason = 0, "UNREACHABLE"
            if self._settle(item, status, reason):
                retry_s = _FIRST_RETRY_S
            else:
                # Jitter keeps the tracks of many jobs from knocking together.
                self._pause(retry_s * random.uniform(0.7, 1.3))
                retry_s = min(retry_s * 2, _MAX_RETRY_S)
        self._disconnect()

    def _head(self) -> _Item | None:
        with self._changed:
            while not self._queue and not self._closing and not self._dead:
                self._changed.wait()
            return self._queue[0] if self._queue and not self._dead else None

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._changed:
            while not self._dead and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _settle(self, item: _Item, status: int, reason: str) -> bool:
        """Act on an answer; whether the item is done with."""
        if status in (200, 201):
            self._order_since_s = None
            self._done(item, acknowledged=True)
            return True
        if status == 412:
            self._die("ENDED" if reason == "TIMELINE_ENDED" else "FENCED")
        elif status in (401, 403):
            self._events.unauthorised()
        elif reason == "SEGMENT_CLOSED":
            self._drop_segment(item)
            return True
        elif reason in ("OUT_OF_ORDER", "INIT_MISSING"):
            self._order_since_s = self._order_since_s or time.monotonic()
            if time.monotonic() - self._order_since_s > _ORDER_PATIENCE_S:
                self._die("BROKEN")
        elif 400 <= status < 500 and status not in (408, 429):
            _log.error("part_refused track=%s place=%s %s", self.track, item.place, reason)
            self._die("BROKEN")
        return False

    def _done(self, item: _Item, *, acknowledged: bool) -> None:
        with self._changed:
            if self._queue and self._queue[0] is item:
                self._queue.popleft()
        if acknowledged and item.part is not None:
            captured = item.part.capture_s
            took = time.time() - captured if captured is not None else -1.0
            self._events.acknowledged(item.part, took)

    def _drop_segment(self, item: _Item) -> None:
        """The recorder gave this segment up: go on with the next one's first part."""
        assert item.part is not None
        _log.warning("segment_given_up track=%s msn=%d", self.track, item.part.msn)
        with self._changed:
            while self._queue and (
                (part := self._queue[0].part) is not None and part.msn <= item.part.msn
            ):
                self._queue.popleft()
        self._skip_segment = item.part.msn

    def _die(self, reason: str) -> None:
        already, self._dead = self._dead, True
        if not already:
            self._events.lost(reason)

    def _send(self, item: _Item) -> tuple[int, str]:
        if item.part is not None and item.part.msn == self._skip_segment:
            return 409, "SEGMENT_CLOSED"
        connection = self._connection or self._connect()
        digest = base64.b64encode(hashlib.sha256(item.data).digest()).decode()
        headers = item.headers | {
            "Authorization": f"Bearer {self._bearer.token}",
            "Odeon-Epoch": str(self._target.epoch),
            "Content-Digest": f"sha-256=:{digest}:",
        }
        path = self._target.path(self.track, item.place)
        connection.request("PUT", path, body=item.data, headers=headers)
        response = connection.getresponse()
        response.read(65536)
        if response.will_close:
            self._disconnect()
        return response.status, response.headers.get("Odeon-Reason", "")

    def _connect(self) -> http.client.HTTPConnection:
        url = urlsplit(self._target.base_url)
        host = url.hostname or "127.0.0.1"
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(host, url.port, timeout=_TIMEOUT_S)
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
