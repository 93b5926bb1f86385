"""Real encoded media and waiting, for tests of everything that touches WebRTC."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import numpy as np
from odeon_media import Client, NodeEvent, SfuNode

PATIENCE_S = 10.0


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; bounded."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.005)


class Events:
    """Everything a node has told so far."""

    def __init__(self, node: SfuNode) -> None:
        self._node = node
        self.seen: list[NodeEvent] = []

    def until(self, kind: str, **wanted: object) -> NodeEvent:
        """The first event of a kind with these fields, waiting for it."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for event in self.seen:
                if event.kind == kind and all(getattr(event, k) == v for k, v in wanted.items()):
                    return event
            assert time.monotonic() < deadline, (
                f"no {kind} {wanted} in {[e.kind for e in self.seen]}"
            )
            self.seen.extend(self._node.poll_events(100))


WIDTH, HEIGHT, FPS = 320, 180, 30
SAMPLES = 960


class VideoSource:
    """Encodes a moving grey ramp, one frame a call."""

    def __init__(self, codec: str = "h264") -> None:
        name, options = {
            "h264": (
                "libx264",
                {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
            ),
            "vp8": ("libvpx", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
            "vp9": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}),
            # Low delay (pred-struct) needs a constant bit rate (rc): frames leave at once.
            "av1": (
                "libsvtav1",
                {"preset": "12", "svtav1-params": "pred-struct=1:rc=2:lookahead=0"},
            ),
        }[codec]
        encoder = av.CodecContext.create(name, "w")
        assert isinstance(encoder, av.VideoCodecContext)
        encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        encoder.time_base, encoder.framerate = Fraction(1, FPS), Fraction(FPS)
        encoder.bit_rate, encoder.gop_size, encoder.options = 300_000, 3000, options
        self._encoder = encoder
        self._count = 0

    def next(self, *, keyframe: bool = False) -> bytes:
        """The next encoded frame."""
        picture = np.full((HEIGHT * 3 // 2, WIDTH), 128, np.uint8)
        picture[:HEIGHT] = (np.arange(WIDTH)[None, :] + self._count) % 256
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = self._count
        if keyframe:
            frame.pict_type = av.video.frame.PictureType.I
        self._count += 1
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))


class AudioSource:
    """Encodes a tone, 20 ms a call."""

    def __init__(self) -> None:
        encoder = av.CodecContext.create("libopus", "w")
        assert isinstance(encoder, av.AudioCodecContext)
        encoder.sample_rate, encoder.layout, encoder.format = 48_000, "stereo", "s16"
        encoder.options = {"frame_duration": "20"}
        self._encoder = encoder
        self._count = 0

    def next(self) -> bytes:
        """The next packet; empty while the encoder fills."""
        at = np.arange(self._count * SAMPLES, (self._count + 1) * SAMPLES)
        tone = (np.sin(at * 2 * np.pi * 440 / 48_000) * 8000).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(
            np.repeat(tone, 2)[None, :], format="s16", layout="stereo"
        )
        frame.sample_rate, frame.pts = 48_000, self._count * SAMPLES
        self._count += 1
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))


class Publisher:
    """Sends both in real time on a thread, and answers keyframe requests."""

    def __init__(self, client: Client, codec: str = "h264") -> None:
        mids = {media.kind: media.mid for media in client.medias()}
        self._client, self._video, self._audio = client, VideoSource(codec), AudioSource()
        self._video_mid, self._audio_mid = mids["video"], mids["audio"]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher")
        self.keyframe_requests = 0
        self.started_us = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        start = time.monotonic()
        self.started_us = time.time_ns() // 1000
        video = audio = 0
        wants_keyframe = False
        while not self._stop.wait(0.002):
            elapsed = time.monotonic() - start
            for event in self._client.poll_events(0):
                wants_keyframe |= event.kind == "keyframe_request"
                self.keyframe_requests += event.kind == "keyframe_request"
            while video < elapsed * FPS:
                self._send(
                    self._video_mid, self._video.next(keyframe=wants_keyframe), video * 3000, 90_000
                )
                wants_keyframe = False
                video += 1
            while audio < elapsed * 50:
                self._send(self._audio_mid, self._audio.next(), audio * SAMPLES, 48_000)
                audio += 1

    def _send(self, mid: str, payload: bytes, rtp_time: int, rate: int) -> None:
        if payload:
            captured = self.started_us + rtp_time * 1_000_000 // rate
            level = -20 if rate == 48_000 else None
            self._client.send(
                mid, payload, rtp_time=rtp_time, capture_time_us=captured, audio_level=level
            )
