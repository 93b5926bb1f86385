"""Hands encoded frames to the WebRTC client of the moment, and counts."""

import threading
from dataclasses import dataclass, replace
from typing import Protocol

from odeon_cli.publish.clock import MediaClock
from odeon_cli.publish.encode import Encoded

_VIDEO_RATE = 90_000
_AUDIO_RATE = 48_000
# RTP time starts above zero, so that audio may begin a look-ahead before media time zero.
_START_S = 1.0


class Wire(Protocol):
    """What a publication needs of `odeon_media.Client`."""

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
        ...


@dataclass(frozen=True, slots=True)
class Sent:
    """Counters since the start."""

    video_frames: int = 0
    keyframes: int = 0
    audio_frames: int = 0
    video_bytes: int = 0
    audio_bytes: int = 0
    dropped: int = 0
    skipped: int = 0

    def minus(self, earlier: "Sent") -> "Sent":
        """What was counted since `earlier`."""
        return Sent(
            *(getattr(self, name) - getattr(earlier, name) for name in Sent.__dataclass_fields__)
        )


class Sender:
    """Thread-safe; sources call it, the session exchanges the wire behind it.

    Args:
        clock: of the publication.
    """

    def __init__(self, clock: MediaClock) -> None:
        self.clock = clock
        self.stop = threading.Event()
        self._keyframe = threading.Event()
        self._lock = threading.Lock()
        self._wire: tuple[Wire, str | None, str | None] | None = None
        self._sent = Sent()

    @property
    def sent(self) -> Sent:
        """Counters now."""
        return self._sent

    def connect(self, wire: Wire, video_mid: str | None, audio_mid: str | None) -> None:
        """Send through this wire from now on, beginning with a keyframe."""
        with self._lock:
            self._wire = (wire, video_mid, audio_mid)
        self.want_keyframe()

    def disconnect(self) -> None:
        """Drop what comes until there is a wire again."""
        with self._lock:
            self._wire = None

    def want_keyframe(self) -> None:
        """Somebody joined or lost packets: the next picture should be a keyframe."""
        self._keyframe.set()

    def take_keyframe_wish(self) -> bool:
        """Whether a keyframe was wanted since the last call."""
        wanted = self._keyframe.is_set()
        self._keyframe.clear()
        return wanted

    def skip(self, frames: int) -> None:
        """The source came late and left out frames."""
        with self._lock:
            self._sent = replace(self._sent, skipped=self._sent.skipped + frames)

    def video(self, frame: Encoded) -> None:
        """Send a picture."""
        self._send(frame, 1, _VIDEO_RATE)

    def audio(self, frame: Encoded) -> None:
        """Send an Opus packet."""
        self._send(frame, 2, _AUDIO_RATE)

    def _send(self, frame: Encoded, line: int, rate: int) -> None:
        with self._lock:
            wire = self._wire
        mid = wire[line] if wire else None
        delivered = False
        if wire and isinstance(mid, str):
            delivered = wire[0].send(
                mid,
                frame.payload,
                rtp_time=round((frame.media_time_s + _START_S) * rate),
                capture_time_us=self.clock.unix_us(frame.media_time_s),
                audio_level=frame.audio_level,
            )
        if wire is not None:
            with self._lock:
                self._sent = _counted(self._sent, frame, delivered)


def _counted(sent: Sent, frame: Encoded, delivered: bool) -> Sent:
    if not delivered:
        return replace(sent, dropped=sent.dropped + 1)
    if frame.audio_level is not None:
        return replace(
            sent,
            audio_frames=sent.audio_frames + 1,
            audio_bytes=sent.audio_bytes + len(frame.payload),
        )
    return replace(
        sent,
        video_frames=sent.video_frames + 1,
        keyframes=sent.keyframes + frame.keyframe,
        video_bytes=sent.video_bytes + len(frame.payload),
    )
