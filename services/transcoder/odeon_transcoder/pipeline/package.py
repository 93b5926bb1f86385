"""Encoded packets to CMAF: one muxer per part, so that a part is complete with its last frame.

libavformat writes an init section and one fragment for each part; only the box boundaries are
parsed to take them apart. `frag_discont` with `delay_moov` makes it write the decode time of the
first packet instead of zero, and `fragment_index` counts the fragments on over the muxers.
"""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream
from av.video.stream import VideoStream

from odeon_transcoder.domain.cuts import Cut
from odeon_transcoder.pipeline.media import Part

_log = logging.getLogger(__name__)

MUXER_FLAGS = "delay_moov+frag_discont+default_base_moof+skip_trailer"
VIDEO_TIMESCALE = 90_000


class Sink:
    """A file object without seek that keeps what libavformat writes."""

    def __init__(self) -> None:
        self._written: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Keep a piece; the buffer belongs to libavformat, so it is copied."""
        self._written.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        """Everything so far, once."""
        data = b"".join(self._written)
        self._written.clear()
        return data


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(type, whole box) of each top-level box (ISO/IEC 14496-12 section 4.2)."""
    at = 0
    while at + 8 <= len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        if size < 8 or at + size > len(data):
            raise ValueError(f"box of {size} bytes at {at} of {len(data)}")
        yield data[at + 4 : at + 8], data[at : at + size]
        at += size


class Cuts(Protocol):
    """Says where frame number n lies."""

    def at(self, index: int, /) -> Cut:
        """The cut at a frame."""


class Packager:
    """Collects the packets of one track and epoch into parts.

    Args:
        track: Track id.
        template: Stream of an opened encoder; its codec parameters go into the init section.
        cuts: Where parts and segments end.
        frame_ticks: Duration of one frame in the stream's time base.
        start_ticks: Decode time of frame 0 of the epoch.
        next_msn: Media sequence number of the epoch's first segment.
        on_init: Called once with the init section, before the first part.
        on_part: Called with every part, in order.
    """

    def __init__(
        self,
        *,
        track: str,
        template: VideoStream | AudioStream,
        cuts: Cuts,
        frame_ticks: int,
        start_ticks: int,
        next_msn: int,
        on_init: Callable[[bytes], None],
        on_part: Callable[[Part], None],
    ) -> None:
        self.track = track
        self._template = template
        assert template.time_base is not None
        self._time_base = template.time_base
        self._cuts = cuts
        self._frame_ticks = frame_ticks
        self._start_ticks = start_ticks
        self._next_msn = next_msn
        self._on_init = on_init
        self._on_part = on_part
        self._packets: list[av.Packet[Any]] = []
        self._first_index = 0
        self._capture_s: float | None = None
        self.origin_s: float | None = None
        """Unix seconds at which frame 0 was captured, by the last picture that is known of."""
        self._fragments = 0
        self._init: bytes | None = None
        self._waits_for_segment = False

    def add(self, index: int, packet: "av.Packet[Any]", capture_s: float | None = None) -> None:
        """Add frame `index` of the epoch; its times are set from the index."""
        cut = self._cuts.at(index)
        if cut.starts_part:
            self._finish_part(index, last=False)
        if self._waits_for_segment:
            if not (cut.starts_segment and packet.is_keyframe):
                return
            self._waits_for_segment = False
        if not self._packets:
            self._first_index = index
        packet.pts = packet.dts = self._start_ticks + index * self._frame_ticks
        packet.duration = self._frame_ticks
        packet.time_base = self._time_base
        self._packets.append(packet)
        if capture_s is not None:
            self._capture_s = capture_s
            self.origin_s = capture_s - self._at_ns(index) / 1e9
        if cut.ends_part:
            self._finish_part(index + 1, last=cut.ends_segment)

    def skip(self, index: int) -> None:
        """Frame `index` was never encoded: the one before it lasts longer."""
        cut = self._cuts.at(index)
        if cut.ends_part:
            self._finish_part(index + 1, last=cut.ends_segment)

    def pause(self) -> None:
        """Drop the part under way; go on with the next segment's keyframe."""
        self._packets.clear()
        self._waits_for_segment = True

    def finish(self, index: int) -> None:
        """End the epoch before frame `index`: what is there becomes a short last part."""
        self._finish_part(index, last=True)

    def _finish_part(self, end_index: int, *, last: bool) -> None:
        packets, self._packets = self._packets, []
        if not packets:
            return
        end_ticks = self._start_ticks + end_index * self._frame_ticks
        for packet, following in zip(packets, [*packets[1:], None], strict=True):
            ends = following.pts if following is not None else end_ticks
            assert packet.pts is not None and ends is not None
            packet.duration = ends - packet.pts
        cut = self._cuts.at(self._first_index)
        init, data = self._mux(packets)
        if self._init is None:
            self._init = init
            self._on_init(init)
        elif init != self._init:
            _log.error("init_changed track=%s", self.track)
        self._on_part(
            Part(
                track=self.track,
                msn=self._next_msn + cut.segment,
                part=cut.part,
                data=data,
                duration_ns=self._at_ns(end_index) - self._at_ns(self._first_index),
                independent=bool(packets[0].is_keyframe),
                last=last,
                capture_s=self._capture_s,
                ends_s=self._ends_s(end_index),
                ready_s=time.monotonic(),
            )
        )
        self._capture_s = None

    def _ends_s(self, end_index: int) -> float | None:
        return None if self.origin_s is None else self.origin_s + self._at_ns(end_index) / 1e9

    def _at_ns(self, index: int) -> int:
        """Start of a frame; parts are rounded at their ends, so that their sum stays exact."""
        return round(index * self._frame_ticks * self._time_base * 1_000_000_000)

    def _mux(self, packets: "list[av.Packet[Any]]") -> tuple[bytes, bytes]:
        self._fragments += 1
        sink = Sink()
        options = {"movflags": MUXER_FLAGS, "fragment_index": str(self._fragments)}
        if isinstance(self._template, VideoStream):
            options["video_track_timescale"] = str(VIDEO_TIMESCALE)
        with av.open(sink, "w", format="mp4", options=options) as container:
            stream = container.add_stream_from_template(self._template, opaque=True)
            stream.time_base = self._template.time_base
            for packet in packets:
                packet.stream = stream
                container.mux_one(packet)
        parts: dict[bool, list[bytes]] = {True: [], False: []}
        for kind, box in boxes(sink.take()):
            parts[kind in (b"ftyp", b"moov")].append(box)
        return b"".join(parts[True]), b"".join(parts[False])
