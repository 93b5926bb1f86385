"""Sources against a wire that records: what would leave, and when."""

import threading
import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import Colorspace
from odeon_cli.console import CliError
from odeon_cli.publish.card import CardOptions, CardSource
from odeon_cli.publish.clock import MediaClock
from odeon_cli.publish.file import FileSource
from odeon_cli.publish.publisher import Source
from odeon_cli.publish.sender import Sender
from odeon_cli.watch.decode import FrameDecoder

NAL_SPS, NAL_IDR = 7, 5


@dataclass
class RecordingWire:
    """Keeps what is sent, as (rtp_time, payload, capture_time_us)."""

    video: list[tuple[int, bytes, int]] = field(default_factory=list)
    audio: list[tuple[int, bytes, int]] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def send(
        self,
        mid: str,
        payload: bytes,
        *,
        rtp_time: int,
        capture_time_us: int | None = None,
        rid: str | None = None,
        audio_level: int | None = None,
    ) -> bool:
        with self.changed:
            track = self.video if mid == "v" else self.audio
            track.append((rtp_time, payload, capture_time_us or 0))
            self.changed.notify_all()
        return True

    def wait_for(self, *, video: int = 0, audio: int = 0) -> None:
        with self.changed:
            enough = self.changed.wait_for(
                lambda: len(self.video) >= video and len(self.audio) >= audio, timeout=20
            )
        assert enough


def record(source: Source, *, video: int = 0, audio: int = 0) -> RecordingWire:
    wire, sender = RecordingWire(), Sender(MediaClock())
    sender.connect(wire, "v", "a")
    threads = source.threads(sender)
    for thread in threads:
        thread.start()
    wire.wait_for(video=video, audio=audio)
    sender.stop.set()
    for thread in threads:
        thread.join(timeout=5)
    assert not any(thread.is_alive() for thread in threads)
    return wire


def nal_types(payload: bytes) -> list[int]:
    return [payload[i + 3] & 31 for i in range(len(payload) - 3) if payload[i : i + 3] == b"\0\0\1"]


def make_file(path: Path, *, b_frames: int, gop: int, seconds: int = 2, rate: int = 25) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.max_b_frames = b_frames
        stream.codec_context.gop_size = gop
        stream.codec_context.options = {"preset": "ultrafast" if not b_frames else "veryfast"}
        noise = np.random.default_rng(1)
        for index in range(seconds * rate):
            pixels = noise.integers(0, 255, (180, 320, 3), np.uint8)
            frame = VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_the_card_shows_the_time_that_its_rtp_time_stands_for() -> None:
    wire = record(CardSource(CardOptions(width=320, height=180, frame_rate=15)), video=10)

    decoder = FrameDecoder("h264")
    cards = [card for _, payload, _ in wire.video for card in decoder.decode(payload)]
    readable = [card for card in cards if card is not None]
    assert [card.counter for card in readable] == list(range(len(readable)))
    for card, (_, _, capture_us) in zip(readable, wire.video, strict=False):
        assert card.unix_ms == capture_us // 1000
    steps = {b - a for (a, _, _), (b, _, _) in zip(wire.video, wire.video[1:], strict=False)}
    assert steps == {6000}


def test_beep_and_flash_start_at_the_same_instant_of_the_clock() -> None:
    wire = record(CardSource(CardOptions(width=320, height=180, frame_rate=15)), video=2, audio=5)

    # Packet n holds the samples from n x 20 ms on, less the encoder's look-ahead.
    first_audio_us = wire.audio[0][2]
    first_video_us = wire.video[0][2]
    assert -10_000 <= first_audio_us - first_video_us <= 0


def test_a_keyframe_comes_when_it_is_wanted_and_carries_its_parameters() -> None:
    source = CardSource(CardOptions(width=320, height=180, frame_rate=30))
    wire, sender = RecordingWire(), Sender(MediaClock())
    sender.connect(wire, "v", "a")
    threads = source.threads(sender)
    for thread in threads:
        thread.start()
    wire.wait_for(video=5)

    sender.want_keyframe()
    seen = len(wire.video)
    wire.wait_for(video=seen + 3)
    sender.stop.set()
    for thread in threads:
        thread.join(timeout=5)

    later = [nal_types(payload) for _, payload, _ in wire.video[5:]]
    assert any(NAL_IDR in types and NAL_SPS in types for types in later)


def test_a_plain_file_passes_as_it_is_and_loops_without_a_step(tmp_path: Path) -> None:
    source = FileSource(make_file(tmp_path / "plain.mp4", b_frames=0, gop=25, seconds=1))

    wire = record(source, video=40)

    assert "passed on" in source.description
    assert NAL_SPS in nal_types(wire.video[0][1])
    steps = {b - a for (a, _, _), (b, _, _) in zip(wire.video, wire.video[1:], strict=False)}
    assert steps == {3600}


def test_a_file_with_b_frames_is_encoded_again_and_says_so(tmp_path: Path) -> None:
    source = FileSource(make_file(tmp_path / "b.mp4", b_frames=2, gop=250))

    wire = record(source, video=10)

    assert "B-frames" in source.description
    times = [rtp for rtp, _, _ in wire.video]
    assert times == sorted(times)


@pytest.mark.parametrize(
    ("size", "matrix", "tagged"),
    [
        ((1280, 720), Colorspace.ITU709, True),
        ((1280, 720), Colorspace.ITU709, False),
        ((320, 180), Colorspace.ITU709, True),
        ((320, 180), Colorspace.ITU601, False),
    ],
)
def test_what_is_encoded_again_has_the_colours_that_browsers_expect(
    tmp_path: Path, size: tuple[int, int], matrix: Colorspace, tagged: bool
) -> None:
    path = tmp_path / "green.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        stream.codec_context.max_b_frames = 2
        stream.codec_context.colorspace = 1 if tagged else 2
        green = np.full((size[1], size[0], 3), (0, 200, 0), np.uint8)
        for index in range(10):
            rgb = VideoFrame.from_ndarray(green, format="rgb24")
            frame = rgb.reformat(format="yuv420p", dst_colorspace=matrix)
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())

    wire = record(FileSource(path), video=2)

    decoder = av.CodecContext.create("h264", "r")
    assert isinstance(decoder, VideoCodecContext)
    shown = decoder.decode(av.Packet(wire.video[0][1])) or decoder.decode(None)
    planes = [bytes(plane)[0] for plane in shown[0].planes]
    # BT.601 of (0, 200, 0), limited range: 16 + 219 * 0.587 * 200 / 255 and so on.
    assert planes == pytest.approx([117, 70, 54], abs=3)


def test_a_file_plays_in_real_time(tmp_path: Path) -> None:
    source = FileSource(make_file(tmp_path / "plain.mp4", b_frames=0, gop=25))
    began = time.monotonic()

    wire = record(source, video=26)

    media_s = (wire.video[25][0] - wire.video[0][0]) / 90_000
    assert time.monotonic() - began >= media_s * 0.95


def test_what_is_no_media_file_is_refused_with_a_hint(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a film")

    with pytest.raises(CliError) as refusal:
        FileSource(text)

    assert refusal.value.hint


@pytest.mark.parametrize("name", ["http://127.0.0.1:1/x.mp4", "concat:a|b", "missing.mp4"])
def test_only_files_are_opened_whatever_the_name_looks_like(name: str) -> None:
    with pytest.raises(CliError) as refusal:
        FileSource(Path(name))

    assert "no such file" in refusal.value.message
