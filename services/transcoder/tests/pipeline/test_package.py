"""What the packager writes, as ffprobe and the boxes see it."""

import json
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import PictureType
from odeon_testkit.testcard import TestCard
from odeon_transcoder.domain.cuts import (
    AAC_FRAME_SAMPLES,
    AudioCuts,
    VideoCuts,
    audio_start_samples,
    video_start_ticks,
)
from odeon_transcoder.domain.ladder import AudioRung, Rung, Size
from odeon_transcoder.pipeline.encode import AudioEncoder, EncoderChoice, open_audio, open_video
from odeon_transcoder.pipeline.media import Part
from odeon_transcoder.pipeline.package import Packager, boxes

START_S = 12.5


@dataclass
class Track:
    """One packaged track."""

    inits: list[bytes] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)

    def write(self, path: Path) -> Path:
        path.write_bytes(self.inits[0] + b"".join(part.data for part in self.parts))
        return path


def _video(
    rate: int, frames: int, size: Size = Size(640, 360), *, skip: frozenset[int] = frozenset()
) -> Track:
    track, cuts = Track(), VideoCuts(rate)
    stream = open_video(Rung(size, 600_000), rate, EncoderChoice(preset="ultrafast"))
    packager = Packager(
        track=f"v{size.height}",
        template=stream,
        cuts=cuts,
        frame_ticks=cuts.frame_ticks,
        start_ticks=video_start_ticks(START_S),
        next_msn=7,
        on_init=track.inits.append,
        on_part=track.parts.append,
    )
    card = TestCard(640, 360, rate)
    for n in range(frames):
        if n in skip:
            packager.skip(n)
            continue
        frame = av.VideoFrame.from_ndarray(card.frame(n, n), format="yuv420p")
        frame = frame.reformat(size.width, size.height)
        frame.pts, frame.time_base = n, Fraction(1, rate)
        key = cuts.at(n).starts_segment
        frame.pict_type = PictureType.I if key else PictureType.NONE
        (packet,) = stream.encode(frame)
        # Every second picture repeats the one before: nothing new was captured.
        packager.add(n, packet, capture_s=None if n % 2 else 1000 + n / rate)
    packager.finish(frames)
    return track


def _audio(frames: int) -> Track:
    track, stream = Track(), open_audio(AudioRung())
    packager = Packager(
        track="a128",
        template=stream,
        cuts=AudioCuts(),
        frame_ticks=AAC_FRAME_SAMPLES,
        start_ticks=audio_start_samples(START_S),
        next_msn=7,
        on_init=track.inits.append,
        on_part=track.parts.append,
    )
    encoder = AudioEncoder(stream, packager)
    for _ in range(frames):
        first, end = encoder.next_samples
        tone = np.sin(2 * np.pi * 440 * np.arange(first, end) / 48_000).astype(np.float32)
        encoder.push(np.stack([tone, tone]) * 0.3, None)
    encoder.close()
    return track


def _packets(path: Path) -> list[dict[str, str]]:
    shown = subprocess.run(
        ["ffprobe", "-v", "error", "-show_packets", "-of", "json", str(path)],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    assert not shown.stderr, shown.stderr
    packets: list[dict[str, str]] = json.loads(shown.stdout)["packets"]
    return packets


def _decode_time(part: Part) -> tuple[int, int]:
    """(tfdt, mfhd sequence number) of a part."""
    moof = dict(boxes(part.data))[b"moof"]
    at = moof.index(b"tfdt")
    assert moof[at + 4] == 1, "64-bit decode times"
    number = int.from_bytes(moof[20:24], "big")
    return int.from_bytes(moof[at + 8 : at + 16], "big"), number


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_video_parts_are_thirds_of_a_second_on_the_events_clock(rate: int, tmp_path: Path) -> None:
    track = _video(rate, rate * 5)

    assert [(p.msn, p.part, p.last) for p in track.parts[:7]] == [
        (7, 0, False), (7, 1, False), (7, 2, False), (7, 3, False), (7, 4, False), (7, 5, True),
        (8, 0, False),
    ]  # fmt: skip
    assert {round(p.duration_ns / 1e6) for p in track.parts} == {333}
    assert sum(p.duration_ns for p in track.parts) == 5_000_000_000
    places = [_decode_time(part) for part in track.parts]
    assert places[0] == (round((10 + START_S) * 90_000), 1)
    assert {b[0] - a[0] for a, b in pairwise(places)} == {30_000}
    assert [number for _, number in places] == list(range(1, len(places) + 1))
    packets = _packets(track.write(tmp_path / "v.mp4"))
    assert len(packets) == rate * 5
    assert {
        round(float(b["dts_time"]) - float(a["dts_time"]), 4) for a, b in pairwise(packets)
    } == {round(1 / rate, 4)}


def test_one_init_section_serves_all_parts_and_parts_hold_nothing_else() -> None:
    track = _video(15, 60)

    assert len(track.inits) == 1
    assert [kind for kind, _ in boxes(track.inits[0])] == [b"ftyp", b"moov"]
    assert all([kind for kind, _ in boxes(p.data)] == [b"moof", b"mdat"] for p in track.parts)


def test_segments_of_all_rungs_start_with_a_keyframe_at_the_same_time(tmp_path: Path) -> None:
    starts = []
    for size in (Size(640, 360), Size(426, 240)):
        track = _video(15, 90, size)
        assert [p.independent for p in track.parts] == [p.part == 0 for p in track.parts]
        packets = _packets(track.write(tmp_path / f"{size.height}.mp4"))
        starts.append([p["pts_time"] for p in packets if "K" in p["flags"]])

    assert starts[0] == starts[1]
    assert len(starts[0]) == 3


def test_a_frame_left_out_makes_the_one_before_it_longer(tmp_path: Path) -> None:
    whole, holed = _video(15, 30), _video(15, 30, skip=frozenset({4, 7, 8, 29}))

    assert [_decode_time(p)[0] for p in holed.parts] == [_decode_time(p)[0] for p in whole.parts]
    assert [p.duration_ns for p in holed.parts] == [p.duration_ns for p in whole.parts]
    packets = _packets(holed.write(tmp_path / "v.mp4"))
    assert len(packets) == 26
    steps = [float(b["pts_time"]) - float(a["pts_time"]) for a, b in pairwise(packets)]
    assert steps[3] == pytest.approx(2 / 15, abs=1e-4)


def test_a_part_tells_when_its_end_was_captured_though_its_last_pictures_are_repeated() -> None:
    track = _video(15, 33)

    ends = np.cumsum([part.duration_ns for part in track.parts]) / 1e9
    assert [part.ends_s for part in track.parts] == pytest.approx([1000 + end for end in ends])
    assert track.parts[0].capture_s == pytest.approx(1000 + 4 / 15)


def test_audio_is_gapless_and_its_segments_end_just_past_the_videos(tmp_path: Path) -> None:
    track = _audio(94 * 3)

    ends = np.cumsum([p.duration_ns for p in track.parts])
    for segment in (0, 1):
        placed = zip(ends, track.parts, strict=True)
        end = next(e for e, part in placed if part.last and part.msn == 7 + segment)
        assert 0 <= end / 1e9 - 2 * (segment + 1) < 1024 / 48_000
    times = [_decode_time(part)[0] for part in track.parts]
    assert times[0] == round((10 + START_S) * 48_000)
    durations = [round(p.duration_ns * 48_000 / 1e9) for p in track.parts]
    assert [b - a for a, b in pairwise(times)] == durations[:-1]
    packets = _packets(track.write(tmp_path / "a.mp4"))
    assert 94 * 3 <= len(packets) <= 94 * 3 + 1
    assert float(packets[0]["pts_time"]) == pytest.approx(10 + START_S)


def test_an_epoch_that_stops_early_ends_with_a_short_last_part() -> None:
    track = _video(15, 33)

    assert track.parts[-1].last and track.parts[-1].msn == 8
    assert track.parts[-1].duration_ns == pytest.approx(3e9 / 15, abs=2)


def test_boxes_that_lie_about_their_size_are_refused() -> None:
    with pytest.raises(ValueError, match="box"):
        list(boxes(b"\x00\x00\x00\x20moof1234"))
