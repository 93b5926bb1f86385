"""Colours of a composed programme against those of the stage, by decoded pixels."""

import io
import threading
import time
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray
from odeon_testkit.testcard.stream import CardFrame
from odeon_transcoder.domain.cuts import VideoCuts, video_start_ticks
from odeon_transcoder.domain.ladder import Rung, Size
from odeon_transcoder.domain.layout import LayoutKind, Seat, arrange
from odeon_transcoder.domain.timeline_clock import ProgrammeClock
from odeon_transcoder.pipeline.colour import Normaliser
from odeon_transcoder.pipeline.compose import Compositor
from odeon_transcoder.pipeline.encode import EncoderChoice, VideoEncoder, open_video
from odeon_transcoder.pipeline.media import Part
from odeon_transcoder.pipeline.package import Packager
from odeon_transcoder.pipeline.person import Person
from odeon_transcoder.pipeline.video_track import VideoTrack

Rgb = NDArray[np.uint8]

PATCHES = (
    (0, 255, 0), (0, 128, 0), (255, 0, 0), (0, 0, 255),
    (255, 255, 0), (0, 255, 255), (255, 0, 255), (200, 60, 120),
    (255, 255, 255), (0, 0, 0), (128, 128, 128), (40, 180, 90),
)  # fmt: skip
TOLERANCE = 6
"""Of 255: two conversions of eight bits and an encoder; a wrong matrix is off by 25 and more."""
BT601, BT709, BT2020, UNTAGGED = 6, 1, 9, 2
COEFFICIENTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}


def patches(size: Size) -> Rgb:
    """Four by three patches."""
    picture = np.zeros((size.height, size.width, 3), np.uint8)
    for index, colour in enumerate(PATCHES):
        top, left = index // 4 * size.height // 3, index % 4 * size.width // 4
        picture[top:, left:] = colour
    return picture


def centres(picture: Rgb) -> list[tuple[int, int, int]]:
    """The colour in the middle of each patch."""
    height, width = picture.shape[:2]
    found = []
    for index in range(len(PATCHES)):
        y = (2 * (index // 4) + 1) * height // 6
        x = (2 * (index % 4) + 1) * width // 8
        around = picture[y - 4 : y + 4, x - 4 : x + 4].reshape(-1, 3)
        red, green, blue = np.median(around, axis=0).astype(int)
        found.append((int(red), int(green), int(blue)))
    return found


def coded(rgb: Rgb, matrix: int, *, full: bool = False) -> av.VideoFrame:
    """A yuv420p picture by the formulas of H.273 section 8.3, not by the library under test."""
    kr, kb = COEFFICIENTS[matrix]
    red, green, blue = (rgb[..., channel] / 255 for channel in range(3))
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
    y = luma * 255 if full else 16 + 219 * luma
    u, v = (128 + (255 if full else 224) * chroma[::2, ::2] for chroma in (cb, cr))
    planes = np.concatenate(
        [np.rint(np.clip(p, 0, 255)).astype(np.uint8).ravel() for p in (y, u, v)]
    )
    height, width = rgb.shape[:2]
    return av.VideoFrame.from_ndarray(planes.reshape(height * 3 // 2, width), format="yuv420p")


def tagged(frame: av.VideoFrame, matrix: int, colour_range: int) -> av.VideoFrame:
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def shown(frame: av.VideoFrame) -> Rgb:
    """What a player shows of a picture that is BT.709 with limited range."""
    rgb = frame.to_ndarray(
        format="rgb24",
        src_colorspace=Colorspace.ITU709,
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG,
    )
    return rgb.astype(np.uint8)


def assert_colours(picture: Rgb) -> None:
    errors = [
        max(abs(a - b) for a, b in zip(found, colour, strict=True))
        for found, colour in zip(centres(picture), PATCHES, strict=True)
    ]
    assert max(errors) <= TOLERANCE, list(zip(PATCHES, centres(picture), errors, strict=True))


SIZE = Size(640, 360)
ODD = Size(642, 362)
Source = Callable[[Rgb], av.VideoFrame]
SOURCES: dict[str, Source] = {
    "untagged": lambda rgb: coded(rgb, BT601),
    "bt601": lambda rgb: tagged(coded(rgb, BT601), BT601, ColorRange.MPEG),
    "bt470bg": lambda rgb: tagged(coded(rgb, BT601), 5, ColorRange.MPEG),
    "bt709": lambda rgb: tagged(coded(rgb, BT709), BT709, ColorRange.MPEG),
    "bt2020": lambda rgb: tagged(coded(rgb, BT2020), BT2020, ColorRange.MPEG),
    "full range": lambda rgb: tagged(coded(rgb, BT601, full=True), UNTAGGED, ColorRange.JPEG),
    "bt709, full range": lambda rgb: tagged(coded(rgb, BT709, full=True), BT709, ColorRange.JPEG),
    "nv12": lambda rgb: coded(rgb, BT601).reformat(format="nv12"),
    "4:4:4": lambda rgb: coded(rgb, BT601).reformat(format="yuv444p"),
    "10 bit": lambda rgb: tagged(coded(rgb, BT709), BT709, 1).reformat(format="yuv420p10le"),
    "yuvj420p": lambda rgb: coded(rgb, BT601).reformat(
        format="yuvj420p", src_color_range=ColorRange.MPEG, dst_color_range=ColorRange.JPEG
    ),
}


@pytest.mark.parametrize("name", SOURCES)
@pytest.mark.parametrize("size", [SIZE, ODD, Size(1280, 720)], ids=lambda s: f"{s.height}")
def test_a_picture_of_any_kind_keeps_its_colours(name: str, size: Size) -> None:
    picture = SOURCES[name](patches(size))

    normal = Normaliser().normalise(picture)

    assert (normal.format.name, normal.width, normal.height) == ("yuv420p", size.width, size.height)
    assert_colours(shown(normal))


def test_a_track_that_changes_its_kind_is_followed() -> None:
    normaliser = Normaliser()

    for name in ("untagged", "full range", "bt709", "untagged"):
        for size in (SIZE, ODD):
            assert_colours(shown(normaliser.normalise(SOURCES[name](patches(size)))))


def test_a_picture_that_is_right_already_is_not_touched() -> None:
    picture = SOURCES["bt709"](patches(SIZE))

    assert Normaliser().normalise(picture) is picture


@pytest.mark.parametrize(
    ("codec", "matrix", "tag"),
    [("vp8", BT601, UNTAGGED), ("h264", BT601, UNTAGGED), ("h264", BT709, BT709)],
)
def test_a_received_track_gives_pictures_of_the_right_colours(
    codec: str, matrix: int, tag: int
) -> None:
    clock, came = ProgrammeClock(15, 0.5), threading.Event()
    clock.arm(15)
    track = VideoTrack("cam", Person(clock), clock, changed=came.set, request_keyframe=lambda: None)

    track.push(received(codec, coded(patches(SIZE), matrix), tag))

    assert came.wait(10)
    track.close()
    picture, _ = track.take(0)
    assert picture is not None
    assert_colours(shown(picture.frame))


def received(codec: str, frame: av.VideoFrame, tag: int) -> CardFrame:
    """A keyframe as it comes from the stage."""
    encoder = av.CodecContext.create({"h264": "libx264", "vp8": "libvpx"}[codec], "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = frame.width, frame.height, "yuv420p"
    encoder.time_base, encoder.bit_rate = Fraction(1, 15), 4_000_000
    encoder.colorspace = tag
    encoder.options = {"tune": "zerolatency"} if codec == "h264" else {"deadline": "realtime"}
    frame.pts = 0
    data = b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])
    return CardFrame(
        kind="video", codec=codec, mid="0", track="cam", media_s=0.0, rtp_time=0,
        clock_rate=90_000, keyframe=True, data=data, capture_time_us=None, sr_ntp_us=None,
        sr_rtp_time=None, received_ns=time.monotonic_ns(),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [LayoutKind.SINGLE, LayoutKind.GRID])
@pytest.mark.parametrize("height", [240, 360, 720])
def test_a_rendition_shows_the_colours_of_the_stage_and_says_how(
    kind: LayoutKind, height: int
) -> None:
    size = Size(height * 16 // 9 // 2 * 2, height)
    picture = Normaliser().normalise(coded(patches(SIZE), BT601))
    seats = [Seat("a", "alice", "Alice", False), Seat("b", "bob", "Bob", False)]
    others = seats[1:] if kind is LayoutKind.GRID else []
    boxes = arrange(kind, seats[0], others, size, labels=False)
    composed = Compositor().compose(size, boxes, {box.seat.key: picture for box in boxes})

    init, decoded = encoded(Rung(size, 2_000_000), composed)

    # ISO/IEC 14496-12 section 12.1.5: primaries, transfer, matrix 1, limited range.
    assert b"colrnclx\x00\x01\x00\x01\x00\x01\x00" in init
    assert (decoded.colorspace, decoded.color_range) == (BT709, ColorRange.MPEG)
    assert (decoded.color_primaries, decoded.color_trc) == (1, 1)
    whole = shown(decoded)
    for box in boxes:
        assert_colours(whole[box.top : box.top + box.height, box.left : box.left + box.width])


def encoded(rung: Rung, picture: av.VideoFrame) -> tuple[bytes, av.VideoFrame]:
    """A rung's init section, and its last picture after a part of standing still."""
    inits: list[bytes] = []
    parts: list[Part] = []
    failed: list[BaseException] = []
    stream = open_video(rung, 15, EncoderChoice(preset="ultrafast"))
    cuts = VideoCuts(15)
    packager = Packager(
        track=rung.track,
        template=stream,
        cuts=cuts,
        frame_ticks=cuts.frame_ticks,
        start_ticks=video_start_ticks(0.0),
        next_msn=0,
        on_init=inits.append,
        on_part=parts.append,
    )
    encoder = VideoEncoder(rung, cuts, stream, packager, on_failed=failed.append)
    for slot in range(5):
        encoder.push(slot, picture, None, 0.0)
    encoder.close(5)
    assert not failed
    data = inits[0] + b"".join(part.data for part in parts)
    with av.open(io.BytesIO(data), "r") as container:
        assert container.streams.video[0].time_base == Fraction(1, 90_000)
        *_, last = container.decode(video=0)
    return inits[0], last
