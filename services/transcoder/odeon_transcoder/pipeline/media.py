"""What flows through the pipeline: encoded frames in, pictures and samples inside, parts out."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import av

from odeon_transcoder.domain.ladder import TrackKind, TrackSpec


class NothingWritten(Exception):
    """No epoch has written the timeline yet, so there is no ladder to go on with."""


class EncodedFrame(Protocol):
    """One received frame; `odeon_media.Frame` is one."""

    @property
    def mid(self) -> str:
        """Media line it came by."""

    @property
    def track(self) -> str | None:
        """Track id, when the offer named it."""

    @property
    def codec(self) -> str:
        """One of h264, vp8, vp9, av1, opus."""

    @property
    def rtp_time(self) -> int:
        """Extended RTP time; does not wrap."""

    @property
    def clock_rate(self) -> int:
        """RTP ticks a second."""

    @property
    def keyframe(self) -> bool:
        """Whether decoding may start here."""

    @property
    def contiguous(self) -> bool:
        """False when something before it was lost."""

    @property
    def data(self) -> bytes:
        """The frame; H.264 as Annex B."""

    @property
    def capture_time_us(self) -> int | None:
        """Capture time by the last sender report, unix µs of the sender."""

    @property
    def sr_ntp_us(self) -> int | None:
        """Wall clock of the last sender report."""

    @property
    def sr_rtp_time(self) -> int | None:
        """RTP time beside it."""

    @property
    def received_ns(self) -> int:
        """Arrival on the scale of time.monotonic_ns()."""


class FrameSource(Protocol):
    """Where encoded frames come from: a WebRTC client, or a test."""

    def recv(self, timeout_ms: int, max: int = 64) -> Sequence[EncodedFrame]:
        """Wait for frames; empty after the timeout."""

    def request_keyframe(self, mid: str) -> None:
        """Ask the sender of this media line for a keyframe."""


class Readiness(Enum):
    """Whether a track has its picture for a slot."""

    READY = "ready"
    IDLE = "idle"
    """It has none, and none is expected at its rate."""
    OWES = "owes"
    STALLED = "stalled"
    """It missed a deadline and has delivered nothing since."""


class TrackSource(Enum):
    """What a track shows or plays."""

    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen-audio"


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """A published track, as the stage describes it."""

    track_id: str
    identity: str
    name: str
    kind: TrackKind
    source: TrackSource
    codec: str = ""
    muted: bool = False
    mid: str = ""
    layers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture and where it belongs."""

    slot: int
    frame: av.VideoFrame
    capture_s: float
    """Unix seconds on this machine's clock."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The recorder's word: this epoch is ours, it starts here, and these are its renditions."""

    epoch: int
    next_msn: int
    next_event_time_s: float
    tracks: tuple[TrackSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """One CMAF part (moof + mdat) of a rendition, ready to be stored."""

    track: str
    msn: int
    part: int
    data: bytes
    duration_ns: int
    independent: bool
    last: bool
    capture_s: float | None
    """Unix seconds when its last picture was captured; None when it only repeats others."""
    ends_s: float | None
    """Unix seconds at which its end was captured, as far as the track goes on at its pace."""
    ready_s: float
    """Monotonic time at which it was complete."""
