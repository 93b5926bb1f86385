"""Playlists (RFC 8216bis). Text of segments that left the live edge is rendered once and kept."""

from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime

from odeon_recorder.domain.records import NS, Kind, Part, Segment, TrackSpec
from odeon_recorder.domain.timeline import Timeline
from odeon_recorder.domain.track import Track

SKIP_TARGETS = 6
"""CAN-SKIP-UNTIL in target durations, the least that 4.4.3.8 allows: 12 s."""
PART_TARGETS = 3
"""Parts are listed for this many target durations from the end, for who plays live.

A recording's playlist lists none: hls.js may ask for the same part of one without end.
"""
HOLD_BACK_PARTS = 3
PATHWAY = "main"
STEERING_URI = "steering.json"


def seconds(ns: int) -> str:
    """Nanoseconds as the playlist writes durations."""
    return f"{ns / NS:.5f}"


def program_date(wall_ms: int) -> str:
    """ISO 8601 with milliseconds, in UTC."""
    moment = datetime.fromtimestamp(wall_ms // 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{wall_ms % 1000:03d}Z"


class MediaPlaylist:
    """One rendition's playlist, complete from the event's start.

    `head + settled + tail()` is the playlist. `settled` only ever grows, so that whoever
    compresses it can go on where it stopped.
    """

    def __init__(self, timeline: Timeline, track: Track) -> None:
        self._timeline = timeline
        self._track = track
        self._settled_count = 0
        self._settled_map = 0
        self._recent: deque[tuple[int, str]] = deque()
        self.settled = bytearray()
        self.head = self._head()

    def settle(self) -> None:
        """Render what has left the live edge since the last call."""
        edge = self._edge_ns()
        segments = self._track.segments
        while self._settled_count < len(segments):
            segment = segments[self._settled_count]
            if segment.end_ns > edge:
                break
            text = "".join(self._segment(segment.msn, self._settled_map, with_parts=False))
            self._settled_map = self._map_after(segment.msn, self._settled_map)
            self._settled_count += 1
            self.settled += text.encode()
            self._recent.append((segment.end_ns, text))
        boundary = self._boundary_ns()
        while self._recent and self._recent[0][0] <= boundary:
            self._recent.popleft()

    def full(self) -> str:
        """The whole playlist."""
        self.settle()
        return self.head + self.settled.decode() + self.tail()

    def delta(self) -> str:
        """A delta update: segments beyond the skip boundary are replaced by EXT-X-SKIP.

        After the end it skips nothing, but lists the last parts: who asks for it was at the
        live edge when the event ended.
        """
        self.settle()
        if self._timeline.ended_ms is not None:
            return self.head + self.settled.decode() + self.tail(with_parts=True)
        skipped = self._settled_count - len(self._recent)
        if skipped == 0:
            return self.full()
        recent = "".join(text for _, text in self._recent)
        return f"{self.head}#EXT-X-SKIP:SKIPPED-SEGMENTS={skipped}\n{recent}{self.tail()}"

    def tail(self, *, with_parts: bool | None = None) -> str:
        """The live edge: segments with their parts, the open one, hint and reports.

        Unless said, parts are listed as long as the timeline is live.
        """
        lines: list[str] = []
        in_force = self._settled_map
        ended = self._timeline.ended_ms is not None
        listed = not ended if with_parts is None else with_parts
        for segment in self._track.segments[self._settled_count :]:
            lines += self._segment(segment.msn, in_force, with_parts=listed)
            in_force = self._map_after(segment.msn, in_force)
        lines += self._open(in_force)
        if ended:
            lines.append("#EXT-X-ENDLIST\n")
            return "".join(lines)
        msn, part = self._track.next_part
        lines.append(f'#EXT-X-PRELOAD-HINT:TYPE=PART,URI="{part_uri(msn, part)}"\n')
        lines += self._reports()
        return "".join(lines)

    def _head(self) -> str:
        timeline = self._timeline
        target = timeline.segment_target_s
        part_target = timeline.part_target_ns
        return (
            "#EXTM3U\n"
            "#EXT-X-VERSION:9\n"
            f"#EXT-X-TARGETDURATION:{target}\n"
            "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,"
            f"CAN-SKIP-UNTIL={SKIP_TARGETS * target:.1f},"
            f"PART-HOLD-BACK={HOLD_BACK_PARTS * part_target / NS:.3f}\n"
            f"#EXT-X-PART-INF:PART-TARGET={part_target / NS:.3f}\n"
            "#EXT-X-PLAYLIST-TYPE:EVENT\n"
            "#EXT-X-MEDIA-SEQUENCE:0\n"
        )

    def _edge_ns(self) -> int:
        return self._track.end_ns - PART_TARGETS * self._timeline.segment_target_s * NS

    def _boundary_ns(self) -> int:
        segments = self._track.segments
        end = segments[-1].end_ns if segments else 0
        return end - SKIP_TARGETS * self._timeline.segment_target_s * NS

    def _map_after(self, msn: int, in_force: int) -> int:
        segment = self._track.segments[msn]
        return in_force if segment.gap is not None else segment.epoch

    def _segment(self, msn: int, in_force: int, *, with_parts: bool) -> Iterator[str]:
        segment = self._track.segments[msn]
        yield from self._start(msn, segment.epoch, segment.start_ns)
        if segment.gap is not None:
            yield "#EXT-X-GAP\n"
        elif segment.epoch != in_force:
            yield f'#EXT-X-MAP:URI="init-{segment.epoch}.mp4"\n'
        if with_parts and segment.gap is not None:
            yield from self._gap_parts(segment)
        elif with_parts:
            yield from _parts(msn, segment.parts)
        yield f"#EXTINF:{seconds(segment.duration_ns)},\ns{msn}.m4s\n"

    def _gap_parts(self, segment: Segment) -> Iterator[str]:
        """A gap's parts, none of which exists.

        hls.js looks at parts alone as long as any are listed: without these it would wait for the
        gap's in vain until the last real one has left the playlist, instead of switching away.
        """
        target = self._track.spec.part_target_ns
        for index, start in enumerate(range(0, segment.duration_ns, target)):
            duration = min(target, segment.duration_ns - start)
            uri = part_uri(segment.msn, index)
            yield f'#EXT-X-PART:DURATION={seconds(duration)},URI="{uri}",GAP=YES\n'

    def _open(self, in_force: int) -> Iterator[str]:
        segment = self._track.open
        if segment is None:
            return
        yield from self._start(segment.msn, segment.epoch, segment.start_ns)
        if segment.epoch != in_force:
            yield f'#EXT-X-MAP:URI="init-{segment.epoch}.mp4"\n'
        yield from _parts(segment.msn, segment.parts)

    def _start(self, msn: int, epoch: int, start_ns: int) -> Iterator[str]:
        if self._track.discontinuous(msn):
            yield "#EXT-X-DISCONTINUITY\n"
        date = program_date(self._timeline.wall_ms(epoch, msn, start_ns))
        yield f"#EXT-X-PROGRAM-DATE-TIME:{date}\n"

    def _reports(self) -> Iterator[str]:
        for name, track in self._timeline.tracks.items():
            if track is not self._track and track.last_msn >= 0:
                yield (
                    f'#EXT-X-RENDITION-REPORT:URI="../{name}/index.m3u8",'
                    f"LAST-MSN={track.last_msn},LAST-PART={track.last_part}\n"
                )


def part_uri(msn: int, part: int) -> str:
    """A part's address, relative to its playlist."""
    return f"p{msn}.{part}.m4s"


def _parts(msn: int, parts: list[Part]) -> Iterator[str]:
    for index, part in enumerate(parts):
        independent = ",INDEPENDENT=YES" if part.independent else ""
        yield (
            f"#EXT-X-PART:DURATION={seconds(part.duration_ns)},"
            f'URI="{part_uri(msn, index)}"{independent}\n'
        )


def multivariant(specs: list[TrackSpec]) -> str:
    """The multivariant playlist: relative addresses only, one pathway, audio demuxed.

    The same for every viewer; steering adds edges by PATHWAY-CLONES, which keep the path.
    """
    video = sorted((s for s in specs if s.kind is Kind.VIDEO), key=lambda s: -s.bandwidth_bps)
    audio = sorted((s for s in specs if s.kind is Kind.AUDIO), key=lambda s: -s.bandwidth_bps)
    lines = [
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        f'#EXT-X-CONTENT-STEERING:SERVER-URI="{STEERING_URI}",PATHWAY-ID="{PATHWAY}"\n',
    ]
    for index, spec in enumerate(audio if video else ()):
        default = "YES" if index == 0 else "NO"
        lines.append(
            f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="{spec.track}",DEFAULT={default},'
            f'AUTOSELECT=YES,CHANNELS="2",URI="{spec.track}/index.m3u8"\n'
        )
    for spec in video or audio:
        lines.append(_variant(spec, audio if video else []))
    return "".join(lines)


def _variant(spec: TrackSpec, audio: list[TrackSpec]) -> str:
    codecs = ",".join(dict.fromkeys([spec.codec, *(a.codec for a in audio)]))
    bandwidth = spec.bandwidth_bps + max((a.bandwidth_bps for a in audio), default=0)
    attributes = [f"BANDWIDTH={bandwidth}", f'CODECS="{codecs}"']
    if spec.width_px and spec.height_px:
        attributes.append(f"RESOLUTION={spec.width_px}x{spec.height_px}")
    if spec.frame_rate:
        attributes.append(f"FRAME-RATE={spec.frame_rate:.3f}")
    if audio:
        attributes.append('AUDIO="audio"')
    attributes.append(f'PATHWAY-ID="{PATHWAY}"')
    return f"#EXT-X-STREAM-INF:{','.join(attributes)}\n{spec.track}/index.m3u8\n"
