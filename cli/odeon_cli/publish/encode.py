"""Encoders as WebRTC wants them: no B-frames, keyframes on demand, 20 ms of Opus."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from numpy.typing import NDArray

KEYFRAME_INTERVAL_S = 2
OPUS_RATE = 48_000
OPUS_FRAME = 960
_OPUS_BITRATE = 96_000
_SILENT_DBOV = -127


@dataclass(frozen=True, slots=True)
class Encoded:
    """One encoded picture or Opus packet.

    Attributes:
        media_time_s: of its capture, on the publication's clock.
        payload: H.264 as Annex B with parameter sets before each keyframe, or an Opus packet.
        keyframe: decoding can start here.
        audio_level: dBov, -127 to 0; None for video.
    """

    media_time_s: float
    payload: bytes
    keyframe: bool = False
    audio_level: int | None = None


def default_bitrate(width: int, height: int, frame_rate: float) -> int:
    """Bits per second that look clean with the fastest preset; 720p30 gets 2.5 Mb/s."""
    return max(300_000, round(width * height * frame_rate * 0.09))


class VideoEncoder:
    """x264 tuned for latency: every frame comes out as soon as it went in."""

    def __init__(self, width: int, height: int, frame_rate: int, bitrate: int) -> None:
        codec = av.CodecContext.create("libx264", "w")
        assert isinstance(codec, VideoCodecContext)
        codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
        codec.time_base = Fraction(1, frame_rate)
        codec.framerate = Fraction(frame_rate)
        codec.bit_rate = bitrate
        codec.gop_size = KEYFRAME_INTERVAL_S * frame_rate
        codec.max_b_frames = 0
        codec.thread_count = 1
        codec.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
            "forced-idr": "1",
            "maxrate": str(bitrate),
            "bufsize": str(bitrate // 2),
            "x264-params": "repeat-headers=1:scenecut=0",
        }
        self._codec = codec
        self._frame_rate = frame_rate

    def encode(self, frame: VideoFrame, index: int, *, keyframe: bool) -> list[Encoded]:
        """Encode frame number `index`; with `keyframe` it becomes one."""
        frame.pts = index
        frame.time_base = Fraction(1, self._frame_rate)
        frame.pict_type = PictureType.I if keyframe else PictureType.NONE
        return [
            Encoded((p.pts or 0) / self._frame_rate, bytes(p), bool(p.is_keyframe))
            for p in self._codec.encode(frame)
        ]


class AudioEncoder:
    """Opus in frames of 20 ms; times account for the encoder's look-ahead."""

    def __init__(self, channels: int) -> None:
        codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.sample_rate = OPUS_RATE
        codec.layout = "stereo" if channels > 1 else "mono"
        codec.format = "flt"
        codec.bit_rate = _OPUS_BITRATE
        codec.time_base = Fraction(1, OPUS_RATE)
        codec.options = {"application": "lowdelay", "frame_duration": "20"}
        self._codec = codec

    def encode(self, samples: NDArray[np.float32], first: int) -> list[Encoded]:
        """Encode 960 samples, mono as (960,) or interleaved stereo as (1920,)."""
        layout = self._codec.layout.name
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        return self.encode_frame(frame, first, level_of(samples))

    def encode_frame(self, frame: AudioFrame, first: int, level: int) -> list[Encoded]:
        """Encode a frame of 960 samples whose first is number `first` of the publication."""
        frame.sample_rate = OPUS_RATE
        frame.time_base = Fraction(1, OPUS_RATE)
        frame.pts = first
        packets: list[Any] = self._codec.encode(frame)
        return [
            Encoded((p.pts or 0) / OPUS_RATE, bytes(p), keyframe=True, audio_level=level)
            for p in packets
        ]


def level_of(samples: NDArray[np.float32]) -> int:
    """Loudness in dBov as RFC 6464 counts it: 0 is the loudest, -127 is silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if samples.size else 0.0
    if power <= 1e-12:
        return _SILENT_DBOV
    return max(_SILENT_DBOV, min(0, round(10 * math.log10(power))))
