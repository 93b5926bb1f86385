"""A media file as a live source: looped, in real time, re-encoded only where it must be."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.audio.resampler import AudioResampler
from av.bitstream import BitStreamFilterContext
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from odeon_cli.console import CliError
from odeon_cli.publish.encode import (
    KEYFRAME_INTERVAL_S,
    OPUS_FRAME,
    OPUS_RATE,
    AudioEncoder,
    Encoded,
    VideoEncoder,
    default_bitrate,
    level_of,
)
from odeon_cli.publish.passthrough import VideoFacts, reasons_to_encode
from odeon_cli.publish.sender import Sender

_MAX_SIDE = 1920
_MAX_FRAME_RATE = 60
_HD_LINES = 720
_UNTAGGED = 2
"""ITU-T H.273 table 4: unspecified."""
_LEAD_S = 0.25
"""How far ahead of its time a frame is prepared."""
# The name must open a plain file, whatever it looks like, and so must what it refers to.
_ONLY_FILES = {"protocol_whitelist": "file"}


def probe(path: Path) -> tuple[VideoFacts | None, bool, float]:
    """Facts of the video, whether there is sound, and the duration in seconds.

    Raises:
        CliError: not a media file.
    """
    with _opened(path) as container:
        video = next(iter(container.streams.video), None)
        has_audio = bool(container.streams.audio)
        duration = _duration(container)
        if video is None:
            return None, has_audio, duration
        reordered, times, end = False, [], 0.0
        for packet in container.demux(video):
            if packet.pts is None:
                continue
            reordered |= packet.dts is not None and packet.dts != packet.pts
            time = float(packet.pts * (packet.time_base or 0))
            end = max(end, time)
            if packet.is_keyframe:
                times.append(time)
        times.sort()
        gaps = [b - a for a, b in zip(times, [*times[1:], end], strict=True)]
        facts = VideoFacts(
            codec=video.codec_context.name,
            pixel_format=video.codec_context.pix_fmt or "",
            has_b_frames=reordered or bool(video.codec_context.has_b_frames),
            longest_keyframe_gap_s=max(gaps, default=float("inf")),
            width=video.codec_context.width,
            height=video.codec_context.height,
            frame_rate=float(video.average_rate or video.guessed_rate or 30),
        )
        return facts, has_audio, max(duration, end)


class FileSource:
    """One thread reads the file again and again and sends each frame when its time has come."""

    def __init__(self, path: Path, *, bitrate: int = 0) -> None:
        self._path = path
        self._facts, self.has_audio, self._duration = probe(path)
        self.has_video = self._facts is not None
        if not (self.has_video or self.has_audio):
            raise CliError(f"{path} holds neither pictures nor sound")
        self.reasons = reasons_to_encode(self._facts) if self._facts else ()
        self._bitrate = bitrate
        self.failed = ""

    @property
    def description(self) -> str:
        """For people."""
        if self._facts is None:
            return f"{self._path.name} (sound only)"
        size = f"{self._facts.width}x{self._facts.height} at {self._facts.frame_rate:.4g} fps"
        if self.reasons:
            return f"{self._path.name}, {size}, encoded again: {' and '.join(self.reasons)}"
        return f"{self._path.name}, {size}, H.264 passed on as it is"

    def threads(self, sender: Sender) -> Sequence[threading.Thread]:
        """The thread to start; it ends when the sender's stop is set."""
        return (threading.Thread(target=self._run, args=(sender,), name="file", daemon=True),)

    def _run(self, sender: Sender) -> None:
        try:
            self._play(sender)
        except (av.error.FFmpegError, CliError, OSError) as error:
            self.failed = str(error)
            sender.stop.set()

    def _play(self, sender: Sender) -> None:
        video = self._video_path()
        audio = _AudioPath() if self.has_audio else None
        start = 0.0
        while not sender.stop.is_set():
            with _opened(self._path) as container:
                zero = _first_time(container)
                streams = [
                    *(container.streams.video[:1] if video else ()),
                    *(container.streams.audio[:1] if audio else ()),
                ]
                for packet in container.demux(*streams):
                    if packet.pts is None and packet.size:
                        continue
                    at = start - zero
                    if packet.stream.type == "video":
                        frames = video.take(packet, at, sender) if video else ()
                        ready = sender.video
                    else:
                        frames = audio.take(packet, at) if audio else ()
                        ready = sender.audio
                    for encoded in frames:
                        if not sender.clock.wait_until(encoded.media_time_s, sender.stop):
                            return
                        ready(encoded)
            start += self._duration
            if start <= sender.clock.now_s() - self._duration:
                start = sender.clock.now_s()  # The machine slept: go on from here.

    def _video_path(self) -> _PassedVideo | _EncodedVideo | None:
        if self._facts is None:
            return None
        return _EncodedVideo(self._facts, self._bitrate) if self.reasons else _PassedVideo()


class _PassedVideo:
    """H.264 as it is, reshaped to Annex B with parameter sets before keyframes."""

    def __init__(self) -> None:
        self._filter: BitStreamFilterContext | None = None

    def take(self, packet: Packet[Any], start: float, sender: Sender) -> Iterator[Encoded]:
        if not packet.size:
            self._filter = None  # The next round opens the file anew.
            return
        if self._filter is None:
            self._filter = BitStreamFilterContext("h264_mp4toannexb", packet.stream)
        sender.take_keyframe_wish()  # A file cannot answer it: joiners wait for the next one.
        for filtered in self._filter.filter(packet):
            time = float((filtered.pts or 0) * (filtered.time_base or packet.time_base))
            yield Encoded(time + start, bytes(filtered), bool(filtered.is_keyframe))


class _EncodedVideo:
    """Decoded, scaled to at most 1080p, encoded for WebRTC at a constant rate."""

    def __init__(self, facts: VideoFacts, bitrate: int) -> None:
        scale = min(1.0, _MAX_SIDE / max(facts.width, facts.height))
        self._width = int(facts.width * scale) // 2 * 2
        self._height = int(facts.height * scale) // 2 * 2
        self._rate = max(1, min(_MAX_FRAME_RATE, round(facts.frame_rate)))
        self._bitrate = bitrate or default_bitrate(self._width, self._height, self._rate)
        self._encoder = VideoEncoder(self._width, self._height, self._rate, self._bitrate)
        self._next = 0
        self._last_keyframe = 0

    def take(self, packet: Packet[Any], start: float, sender: Sender) -> Iterator[Encoded]:
        for frame in packet.decode():
            if not isinstance(frame, VideoFrame) or frame.time is None:
                continue
            index = round((frame.time + start) * self._rate)
            if index < self._next:
                continue  # More pictures than the rate has room for.
            self._next = index + 1
            if not sender.clock.wait_until(index / self._rate - _LEAD_S, sender.stop):
                return
            due = index - self._last_keyframe >= KEYFRAME_INTERVAL_S * self._rate
            wanted = sender.take_keyframe_wish() or due
            small = _for_the_stage(frame, self._width, self._height)
            for encoded in self._encoder.encode(small, index, keyframe=wanted):
                if encoded.keyframe:
                    self._last_keyframe = index
                yield encoded


def _for_the_stage(frame: VideoFrame, width: int, height: int) -> VideoFrame:
    """Scaled, and in the colours that every receiver takes a WebRTC picture for.

    Those are BT.601 with limited range whatever the size, because that is what browsers send. A
    file that does not say what it has is taken as players of files take it: BT.709 from 720 lines.
    """
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    untagged_hd = frame.colorspace == _UNTAGGED and frame.height >= _HD_LINES
    return frame.reformat(
        width=width,
        height=height,
        format="yuv420p",
        src_colorspace=Colorspace.ITU709 if untagged_hd else None,
        dst_colorspace=Colorspace.ITU601,
        src_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
        dst_color_range=ColorRange.MPEG,
    )


class _AudioPath:
    """Any sound to Opus; numbered by samples, realigned when the file jumps."""

    def __init__(self) -> None:
        self._encoder = AudioEncoder(channels=2)
        self._resampler = self._new_resampler()
        self._next: int | None = None

    def take(self, packet: Packet[Any], start: float) -> Iterator[Encoded]:
        if not packet.size:
            self._resampler = self._new_resampler()
            return
        for frame in packet.decode():
            if frame.time is None:
                continue
            wanted = round((frame.time + start) * OPUS_RATE)
            if self._next is None or abs(wanted - self._next) > OPUS_FRAME * 3:
                self._next = wanted
            for small in self._resampler.resample(frame):  # type: ignore[arg-type]
                if small.samples < OPUS_FRAME:
                    continue  # The file's last, short one: the loop's seam.
                level = level_of(np.asarray(small.to_ndarray(), np.float32))
                yield from self._encoder.encode_frame(small, self._next, level)
                self._next += OPUS_FRAME

    @staticmethod
    def _new_resampler() -> AudioResampler:
        return AudioResampler(format="flt", layout="stereo", rate=OPUS_RATE, frame_size=OPUS_FRAME)


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise CliError(f"no such file: {path}")
    try:
        return av.open(f"file:{path.absolute()}", options=_ONLY_FILES)
    except (av.error.FFmpegError, OSError) as error:
        raise CliError(f"{path} cannot be read: {error}", hint="is it a media file?") from error


def _duration(container: Any) -> float:
    return float(container.duration or 0) / av.time_base


def _first_time(container: Any) -> float:
    starts = [
        float(s.start_time * s.time_base) for s in container.streams if s.start_time is not None
    ]
    return min(starts, default=0.0)
