"""Encoders: rests and returns, skipped frames, what the recorder is told."""

import threading
import time
from fractions import Fraction

import av
import pytest
from odeon_testkit.testcard import TestCard
from odeon_transcoder.domain.cuts import VideoCuts, video_start_ticks
from odeon_transcoder.domain.ladder import AudioRung, Rung, Size
from odeon_transcoder.pipeline.encode import (
    EncoderChoice,
    VideoEncoder,
    audio_spec,
    avc_codec,
    open_video,
    video_spec,
)
from odeon_transcoder.pipeline.media import Part
from odeon_transcoder.pipeline.package import Packager
from odeon_transcoder.pipeline.probe import find

RATE = 15
RUNG = Rung(Size(426, 240), 400_000)


class Encoding:
    """A running encoder whose parts are kept."""

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.failed = threading.Event()
        self.stream = open_video(RUNG, RATE, EncoderChoice(preset="ultrafast"))
        self._card = TestCard(426, 240, RATE)
        cuts = VideoCuts(RATE)
        packager = Packager(
            track=RUNG.track,
            template=self.stream,
            cuts=cuts,
            frame_ticks=cuts.frame_ticks,
            start_ticks=video_start_ticks(0.0),
            next_msn=0,
            on_init=lambda data: None,
            on_part=self.parts.append,
        )
        self.encoder = VideoEncoder(
            RUNG, cuts, self.stream, packager, on_failed=lambda error: self.failed.set()
        )

    def push(self, first: int, end: int) -> None:
        """Encode slots one by one, so that the queue stays short."""
        for slot in range(first, end):
            frame = av.VideoFrame.from_ndarray(self._card.frame(slot, slot), format="yuv420p")
            self.encoder.push(slot, frame, float(slot), time.monotonic())
            while self.encoder.lag_s(time.monotonic()) > 0 and not self.failed.is_set():
                time.sleep(0.0005)


def test_a_rung_that_rested_goes_on_with_a_segments_keyframe() -> None:
    encoding = Encoding()
    encoding.push(0, 13)
    encoding.encoder.rest(True)
    encoding.push(13, 40)
    encoding.encoder.rest(False)
    encoding.push(40, 75)
    encoding.encoder.close(75)

    places = [(part.msn, part.part) for part in encoding.parts]
    assert places == [(0, 0), (0, 1), (2, 0), (2, 1), (2, 2)]
    assert [part.independent for part in encoding.parts] == [True, False, True, False, False]


def test_frames_that_find_a_second_of_others_waiting_are_left_out_but_never_a_parts_first() -> None:
    encoding = Encoding()
    frame = av.VideoFrame(1920, 1080, "yuv420p")
    for slot in range(90):
        encoding.encoder.push(slot, frame, None, time.monotonic())
    encoding.encoder.close(90)

    assert encoding.encoder.counters.dropped > 0
    assert sum(part.duration_ns for part in encoding.parts) == 6_000_000_000
    assert [(p.msn, p.part) for p in encoding.parts] == [(n // 6, n % 6) for n in range(18)]


def test_lag_is_the_age_of_the_oldest_unfinished_frame() -> None:
    encoding = Encoding()
    assert encoding.encoder.lag_s(time.monotonic()) == 0.0

    encoding.encoder.push(0, None, None, time.monotonic() - 3)

    assert encoding.encoder.lag_s(time.monotonic()) in (0.0, pytest.approx(3, abs=0.5))
    encoding.encoder.close(1)


def test_the_codec_string_comes_from_the_parameter_sets() -> None:
    stream = open_video(RUNG, RATE, EncoderChoice(preset="veryfast"))

    spec = video_spec(RUNG, RATE, stream)

    assert spec.codec.startswith("avc1.4d")
    assert (spec.track, spec.width, spec.height, spec.frame_rate) == ("v240", 426, 240, 15.0)
    assert spec.bandwidth_bps > RUNG.bitrate_bps
    assert audio_spec(AudioRung()).codec == "mp4a.40.2"
    assert avc_codec(bytes.fromhex("0164001fff")) == "avc1.64001f"
    with pytest.raises(ValueError, match="parameter set"):
        avc_codec(b"\x00\x00\x00\x01\x68")


def test_the_rate_stays_within_what_the_playlist_promises() -> None:
    encoding = Encoding()
    encoding.push(0, 60)
    encoding.encoder.close(60)

    for segment in (0, 1):
        size = sum(len(part.data) for part in encoding.parts if part.msn == segment)
        assert size * 8 / 2 <= video_spec(RUNG, RATE, encoding.stream).bandwidth_bps


def test_the_probe_finds_an_encoder_that_really_encodes() -> None:
    found = find()

    assert found.path in ("NVENC", "NVDEC_CPU", "CPU") and found.detail
    encoder = av.CodecContext.create(found.video_encoder, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = 320, 180, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    frame = av.VideoFrame(320, 180, "yuv420p")
    frame.pts = 0
    assert [*encoder.encode(frame), *encoder.encode(None)]
