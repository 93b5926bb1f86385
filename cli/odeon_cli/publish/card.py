"""The test card as a live source: drawn, encoded and sent at the instant that it shows."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

from av.video.frame import VideoFrame
from odeon_testkit.testcard import TestCard

from odeon_cli.publish.encode import (
    KEYFRAME_INTERVAL_S,
    OPUS_FRAME,
    OPUS_RATE,
    AudioEncoder,
    VideoEncoder,
    default_bitrate,
)
from odeon_cli.publish.sender import Sender


@dataclass(frozen=True, slots=True, kw_only=True)
class CardOptions:
    """Picture and sound of the test card; `skew_ms` delays the beeps, to prove lip-sync checks."""

    width: int = 1280
    height: int = 720
    frame_rate: int = 30
    bitrate: int = 0
    skew_ms: float = 0.0
    title: str = "Odeon"


class CardSource:
    """Two threads, one for pictures and one for beeps, on one clock."""

    has_video = True
    has_audio = True

    def __init__(self, options: CardOptions) -> None:
        self._options = options
        self._card = TestCard(
            options.width,
            options.height,
            options.frame_rate,
            skew_ms=options.skew_ms,
            title=options.title,
        )

    @property
    def description(self) -> str:
        """For people."""
        o = self._options
        return f"test card {o.width}x{o.height} at {o.frame_rate} fps"

    def threads(self, sender: Sender) -> Sequence[threading.Thread]:
        """The threads to start; they end when the sender's stop is set."""
        return (
            threading.Thread(target=self._pictures, args=(sender,), name="card-video", daemon=True),
            threading.Thread(target=self._beeps, args=(sender,), name="card-audio", daemon=True),
        )

    def _pictures(self, sender: Sender) -> None:
        o = self._options
        bitrate = o.bitrate or default_bitrate(o.width, o.height, o.frame_rate)
        encoder = VideoEncoder(o.width, o.height, o.frame_rate, bitrate)
        index = 0
        last_keyframe = 0
        while sender.clock.wait_until(index / o.frame_rate, sender.stop):
            late = int((sender.clock.now_s() - index / o.frame_rate) * o.frame_rate)
            if late > 1:  # A viewer should see a jump, not ever older pictures.
                sender.skip(late)
                index += late
            capture_ms = sender.clock.unix_us(index / o.frame_rate) // 1000
            picture = self._card.frame(index, capture_ms)
            due = index - last_keyframe >= KEYFRAME_INTERVAL_S * o.frame_rate
            keyframe = sender.take_keyframe_wish() or due
            frame = VideoFrame.from_ndarray(picture, format="yuv420p")
            for encoded in encoder.encode(frame, index, keyframe=keyframe):
                last_keyframe = index if encoded.keyframe else last_keyframe
                sender.video(encoded)
            index += 1

    def _beeps(self, sender: Sender) -> None:
        encoder = AudioEncoder(channels=1)
        first = 0
        # Samples are sent when the last of them has been "heard", as a sound card would.
        while sender.clock.wait_until((first + OPUS_FRAME) / OPUS_RATE, sender.stop):
            for encoded in encoder.encode(self._card.samples(first, OPUS_FRAME), first):
                sender.audio(encoded)
            first += OPUS_FRAME
