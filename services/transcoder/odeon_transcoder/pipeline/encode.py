"""The encoders of an epoch: each rung once, on a thread of its own, and AAC."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.frame import PictureType
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from odeon_transcoder.domain.colour import RENDITION_CODE
from odeon_transcoder.domain.cuts import AAC_FRAME_SAMPLES, AUDIO_RATE, VideoCuts
from odeon_transcoder.domain.ladder import (
    AUDIO_PART_TARGET_S,
    AUDIO_PEAK_FACTOR,
    SEGMENT_SECONDS,
    VIDEO_PART_TARGET_S,
    VIDEO_PEAK_FACTOR,
    AudioRung,
    Rung,
    TrackSpec,
)
from odeon_transcoder.pipeline.audio_track import Samples
from odeon_transcoder.pipeline.package import MUXER_FLAGS, VIDEO_TIMESCALE, Packager, Sink

_log = logging.getLogger(__name__)

_PROFILES = {"avc1.42": "baseline", "avc1.4d": "main", "avc1.64": "high"}
_QUEUE_SECONDS = 1.0
_MAX_QUEUE_SECONDS = 20.0
"""A rung this far behind has not even managed three frames a second: it is broken."""


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Which encoder to use and how hard it should try."""

    name: str = "libx264"
    preset: str = "veryfast"
    """x264 preset: superfast costs a quarter less, ultrafast half, at a visible loss."""
    threads: int = 0
    """Slices encoded at once; 0 takes two for 720 lines and more, else one."""


def open_video(rung: Rung, frame_rate: int, choice: EncoderChoice) -> VideoStream:
    """Open an encoder inside a container that only carries its parameters."""
    container = av.open(Sink(), "w", format="mp4", options={"movflags": MUXER_FLAGS})
    stream = container.add_stream(choice.name, rate=frame_rate, options=_options(rung, choice))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = rung.size.width, rung.size.height, "yuv420p"
    context.bit_rate = rung.bitrate_bps
    context.time_base = Fraction(1, VIDEO_TIMESCALE)
    context.max_b_frames = 0
    # Untagged, players guess by the size: small rungs would look different from large ones.
    context.colorspace = context.color_primaries = context.color_trc = RENDITION_CODE
    context.color_range = ColorRange.MPEG
    context.thread_count = choice.threads or (2 if rung.size.height >= 720 else 1)
    container.start_encoding()
    return stream


def _options(rung: Rung, choice: EncoderChoice) -> dict[str, str]:
    limits = {
        "maxrate": str(rung.bitrate_bps * 11 // 10),
        "bufsize": str(rung.bitrate_bps * 6 // 10),
        "forced-idr": "1",
        "profile": _profile(rung),
    }
    if choice.name == "libx264":
        return limits | {
            "preset": choice.preset,
            "tune": "zerolatency",
            # Keyframes come only where they are forced: at the start of every segment.
            "x264-params": "keyint=infinite:scenecut=0:open-gop=0",
        }
    return limits | {
        "preset": "p3",
        "tune": "ull",
        "rc": "cbr",
        "delay": "0",
        "zerolatency": "1",
        "no-scenecut": "1",
        "g": "100000",
    }


def _profile(rung: Rung) -> str:
    """H.264 profile: the one that players were told, so that a successor's is never above it."""
    told = _PROFILES.get(rung.codec[:7])
    return told or ("main" if rung.size.height < 480 else "high")


def open_audio(rung: AudioRung) -> AudioStream:
    """Open AAC-LC inside a container that only carries its parameters."""
    container = av.open(Sink(), "w", format="mp4", options={"movflags": MUXER_FLAGS})
    stream = container.add_stream("aac", rate=AUDIO_RATE, options={"aac_coder": "fast"})
    assert isinstance(stream, AudioStream)
    context = stream.codec_context
    context.bit_rate = rung.bitrate_bps
    context.layout = "stereo"
    context.time_base = Fraction(1, AUDIO_RATE)
    container.start_encoding()
    return stream


def video_spec(rung: Rung, frame_rate: int, stream: VideoStream) -> TrackSpec:
    """What the recorder lists for this rung."""
    return TrackSpec(
        track=rung.track,
        kind="video",
        codec=rung.codec or avc_codec(stream.codec_context.extradata or b""),
        bandwidth_bps=round(rung.bitrate_bps * VIDEO_PEAK_FACTOR),
        width=rung.size.width,
        height=rung.size.height,
        frame_rate=float(frame_rate),
        part_target_s=VIDEO_PART_TARGET_S,
        segment_target_s=SEGMENT_SECONDS,
    )


def audio_spec(rung: AudioRung) -> TrackSpec:
    """What the recorder lists for the audio."""
    return TrackSpec(
        track=rung.track,
        kind="audio",
        codec="mp4a.40.2",
        bandwidth_bps=round(rung.bitrate_bps * AUDIO_PEAK_FACTOR),
        width=0,
        height=0,
        frame_rate=0.0,
        part_target_s=AUDIO_PART_TARGET_S,
        segment_target_s=SEGMENT_SECONDS,
    )


def avc_codec(extradata: bytes) -> str:
    """RFC 6381 name from the parameter sets (Annex B or avcC)."""
    if extradata[:1] == b"\x01" and len(extradata) >= 4:
        return f"avc1.{extradata[1:4].hex()}"
    for start in (b"\x00\x00\x01\x67", b"\x00\x00\x01\x27"):
        at = extradata.find(start)
        if at >= 0:
            return f"avc1.{extradata[at + 4 : at + 7].hex()}"
    raise ValueError("no sequence parameter set in the encoder's extradata")


@dataclass(frozen=True, slots=True)
class _Job:
    index: int
    frame: av.VideoFrame | None
    capture_s: float | None
    due_s: float


@dataclass(slots=True)
class RungCounters:
    """What an encoder did since the epoch's start."""

    encoded: int = 0
    dropped: int = 0


class VideoEncoder:
    """Scales and encodes one rung in its own thread.

    A frame that finds a second's worth of others waiting is skipped: the one before it lasts
    longer. Frames that start a part are never skipped, because a part must have one.
    """

    _PAUSED = _Job(-1, None, None, 0.0)

    def __init__(
        self,
        rung: Rung,
        cuts: VideoCuts,
        stream: VideoStream,
        packager: Packager,
        *,
        on_failed: Callable[[BaseException], None],
    ) -> None:
        self.rung = rung
        self.counters = RungCounters()
        self.resting = False
        self._cuts = cuts
        self._stream = stream
        self._packager = packager
        self._on_failed = on_failed
        self._scaler = VideoReformatter()
        self._queue: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._waiting_frames = 0
        self._closing = False
        self._pausing = False
        self._working_due_s: float | None = None
        self._busy_share = 0.0
        self._times: dict[int, tuple[int, float | None]] = {}
        self._force_key = True
        self._thread = threading.Thread(target=self._run, name=f"encode-{rung.track}", daemon=True)
        self._thread.start()

    def push(
        self, index: int, frame: av.VideoFrame | None, capture_s: float | None, due_s: float
    ) -> None:
        """Queue frame `index` of the epoch; None leaves its place to the frame before."""
        with self._changed:
            if self.resting:
                return
            rate = self._cuts.frame_rate
            if len(self._queue) >= _MAX_QUEUE_SECONDS * rate:
                self._on_failed(TimeoutError("the encoder stands still"))
                return
            late = self._waiting_frames >= _QUEUE_SECONDS * rate
            if frame is not None and late and not self._cuts.at(index).starts_part:
                self.counters.dropped += 1
                frame = None
            self._waiting_frames += frame is not None
            self._queue.append(_Job(index, frame, capture_s, due_s))
            self._changed.notify()

    def rest(self, resting: bool) -> None:
        """Stop this rung, or go on with the next segment."""
        with self._changed:
            if resting == self.resting:
                return
            self.resting = resting
            self._queue.clear()
            self._waiting_frames = 0
            self._pausing = True
            self._changed.notify()

    def lag_s(self, now_s: float) -> float:
        """How late the oldest unfinished frame is."""
        with self._changed:
            due = self._working_due_s
            if due is None and self._queue:
                due = self._queue[0].due_s
        return max(0.0, now_s - due) if due is not None else 0.0

    @property
    def busy_share(self) -> float:
        """Share of real time spent on frames, smoothed over a second or so."""
        return self._busy_share

    def close(self, end_index: int) -> None:
        """Encode what waits, end the last part before frame `end_index`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(timeout=5)
        if not self.resting and not self._thread.is_alive():
            self._packager.finish(end_index)

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                if job is self._PAUSED:
                    continue
                started = time.monotonic()
                self._encode(job)
                spent = (time.monotonic() - started) * self._cuts.frame_rate
                self._busy_share += (spent - self._busy_share) / self._cuts.frame_rate
                with self._changed:
                    self._working_due_s = None
        except (av.FFmpegError, ValueError, AssertionError) as error:
            _log.exception("encoder_failed track=%s", self.rung.track)
            self._on_failed(error)

    def _next(self) -> _Job | None:
        with self._changed:
            while not (self._queue or self._closing or self._pausing):
                self._changed.wait()
            if self._pausing:
                self._pausing = False
                self._force_key = True
                self._packager.pause()
                return self._PAUSED
            if not self._queue:
                return None
            job = self._queue.popleft()
            self._waiting_frames -= job.frame is not None
            self._working_due_s = job.due_s
            return job

    def _encode(self, job: _Job) -> None:
        if job.frame is None:
            self._packager.skip(job.index)
            return
        frame = self._scaled(job.frame)
        key = self._force_key or self._cuts.at(job.index).starts_segment
        frame.pict_type = PictureType.I if key else PictureType.NONE
        frame.pts = job.index
        frame.time_base = Fraction(1, self._cuts.frame_rate)
        self._force_key = False
        at = job.index * self._cuts.frame_ticks
        self._times[at] = (job.index, job.capture_s)
        for packet in self._stream.encode(frame):
            assert packet.pts is not None and packet.time_base is not None
            ticks = round(packet.pts * packet.time_base * VIDEO_TIMESCALE)
            index, capture_s = self._times.pop(ticks)
            self.counters.encoded += 1
            if not self.resting:
                self._packager.add(index, packet, capture_s)

    def _scaled(self, frame: av.VideoFrame) -> av.VideoFrame:
        size = self.rung.size
        if frame.width == size.width and frame.height == size.height:
            return frame
        shrinks = frame.height >= 2 * size.height
        return self._scaler.reformat(
            frame,
            size.width,
            size.height,
            "yuv420p",
            interpolation=Interpolation.AREA if shrinks else Interpolation.BILINEAR,
        )


class AudioEncoder:
    """AAC-LC; called by the mixer's thread.

    The encoder's first packet carries the 1024 samples of its priming. Samples are fed one frame
    late for it, so that packet n lies exactly n frames after the epoch's start and decodes to the
    samples of its own time.
    """

    def __init__(self, stream: AudioStream, packager: Packager) -> None:
        self._stream = stream
        self._packager = packager
        self._next = 0
        self._packaged = 0

    @property
    def next_samples(self) -> tuple[int, int]:
        """(first, end) of the samples wanted next, counted from the epoch's start."""
        first = (self._next + 1) * AAC_FRAME_SAMPLES
        return first, first + AAC_FRAME_SAMPLES

    def push(self, samples: Samples, origin_s: float | None) -> None:
        """Encode the next 1024 samples of shape (2, 1024).

        `origin_s` is when the epoch's first moment was captured, in unix seconds, when known.
        """
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(samples, np.float32), format="fltp", layout="stereo"
        )
        frame.sample_rate = AUDIO_RATE
        frame.pts = (self._next + 1) * AAC_FRAME_SAMPLES
        frame.time_base = Fraction(1, AUDIO_RATE)
        self._next += 1
        self._packager.origin_s = origin_s
        self._package(frame)

    def close(self) -> None:
        """Package what the encoder still holds and end the last part after it."""
        if self._next:
            self._package(None)
        self._packager.finish(self._packaged)

    def _package(self, frame: av.AudioFrame | None) -> None:
        for packet in self._stream.encode(frame):
            assert packet.pts is not None
            index = packet.pts // AAC_FRAME_SAMPLES
            self._packager.add(index, packet)
            self._packaged = index + 1
