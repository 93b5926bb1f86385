"""When a file's H.264 goes out as it is."""

from dataclasses import replace

from odeon_cli.publish.passthrough import VideoFacts, reasons_to_encode

GOOD = VideoFacts(
    codec="h264",
    pixel_format="yuv420p",
    has_b_frames=False,
    longest_keyframe_gap_s=2.0,
    width=1280,
    height=720,
    frame_rate=30,
)


def test_plain_h264_with_a_keyframe_every_two_seconds_passes() -> None:
    assert reasons_to_encode(GOOD) == ()


def test_b_frames_are_a_reason() -> None:
    assert "B-frames" in reasons_to_encode(replace(GOOD, has_b_frames=True))[0]


def test_keyframes_too_far_apart_are_a_reason_that_says_how_far() -> None:
    (reason,) = reasons_to_encode(replace(GOOD, longest_keyframe_gap_s=8.3))

    assert "8.3 s" in reason


def test_another_codec_is_the_only_reason_told() -> None:
    assert reasons_to_encode(replace(GOOD, codec="hevc", has_b_frames=True)) == (
        "it is hevc, not H.264",
    )


def test_a_pixel_format_that_browsers_do_not_decode_is_a_reason() -> None:
    assert "yuv444p" in reasons_to_encode(replace(GOOD, pixel_format="yuv444p"))[0]
