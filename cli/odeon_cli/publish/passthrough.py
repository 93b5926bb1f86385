"""May a file's H.264 go out as it is? WebRTC receivers reorder nothing and join at keyframes."""

from dataclasses import dataclass

MAX_KEYFRAME_GAP_S = 2.0
_GAP_TOLERANCE_S = 0.05


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """What was found in a file's video.

    Attributes:
        codec: FFmpeg's name, e.g. "h264"; empty when there is no video.
        pixel_format: e.g. "yuv420p".
        has_b_frames: pictures are stored in another order than they are shown.
        longest_keyframe_gap_s: including the one across the loop, in seconds.
        width, height: in pixels.
        frame_rate: pictures per second.
    """

    codec: str
    pixel_format: str
    has_b_frames: bool
    longest_keyframe_gap_s: float
    width: int
    height: int
    frame_rate: float


def reasons_to_encode(facts: VideoFacts) -> tuple[str, ...]:
    """Why the video must be encoded again; empty when it may pass as it is."""
    if facts.codec != "h264":
        return (f"it is {facts.codec or 'unknown'}, not H.264",)
    reasons = []
    if facts.pixel_format not in ("yuv420p", "yuvj420p"):
        reasons.append(f"its pixel format is {facts.pixel_format}")
    if facts.has_b_frames:
        reasons.append("it has B-frames")
    if facts.longest_keyframe_gap_s > MAX_KEYFRAME_GAP_S + _GAP_TOLERANCE_S:
        gap = facts.longest_keyframe_gap_s
        reasons.append(f"its keyframes are up to {gap:.1f} s apart (2 s at most)")
    return tuple(reasons)
