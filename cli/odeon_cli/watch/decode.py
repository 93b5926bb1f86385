"""Decoding for measurement: pictures with their media time and what the test card on them says."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import av
import av.error
import numpy as np
from av.video.codeccontext import VideoCodecContext
from odeon_testkit.testcard import Reading, read_luma


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture. `media_time_s` is its presentation time in the stream's own time."""

    media_time_s: float
    card: Reading | None


class FragmentDecoder:
    """Decodes CMAF parts one after the other; a new init section starts a new decoder."""

    def __init__(self, init: bytes) -> None:
        self._init = init
        self._codec: VideoCodecContext | None = None

    def decode(self, part: bytes) -> tuple[list[Picture], float, float]:
        """Pictures of a part, and its first and end time in seconds; raises FFmpegError."""
        pictures: list[Picture] = []
        first, end = float("inf"), 0.0
        with av.open(io.BytesIO(self._init + part), mode="r", format="mp4") as container:
            stream: Any = container.streams[0]
            for packet in container.demux(stream):
                if packet.pts is None:
                    continue
                start = float(packet.pts * stream.time_base)
                first = min(first, start)
                end = max(end, start + float((packet.duration or 0) * stream.time_base))
                if stream.type == "video":
                    pictures.extend(self._decoded(packet, stream))
        return pictures, first, end

    def _decoded(self, packet: Any, stream: Any) -> Iterator[Picture]:
        if self._codec is None:
            codec = av.CodecContext.create(stream.codec_context.name, "r")
            assert isinstance(codec, VideoCodecContext)
            codec.extradata = stream.codec_context.extradata
            codec.options = {"flags": "low_delay"}
            codec.thread_count = 1
            self._codec = codec
        for frame in self._codec.decode(packet):
            if frame.pts is not None:
                time = float(frame.pts * stream.time_base)
                yield Picture(time, read_luma(luma(frame)))


class FrameDecoder:
    """Decodes encoded frames as they come out of a WebRTC client."""

    def __init__(self, codec: str) -> None:
        context = av.CodecContext.create(codec, "r")
        assert isinstance(context, VideoCodecContext)
        context.options = {"flags": "low_delay"}
        context.thread_count = 1
        self._codec = context

    def decode(self, payload: bytes) -> list[Reading | None]:
        """What each picture of this frame shows; a broken one shows nothing."""
        try:
            return [read_luma(luma(f)) for f in self._codec.decode(av.Packet(payload))]
        except av.error.FFmpegError:
            return []


def luma(frame: Any) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    """The luma plane of a planar picture without its padding, shape (height, width)."""
    plane = frame.planes[0]
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)
    return rows[:, : plane.width]
