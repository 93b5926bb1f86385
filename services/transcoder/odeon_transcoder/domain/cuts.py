"""Where parts and segments begin and end, in frames since the start of the epoch."""

from dataclasses import dataclass

from odeon_transcoder.domain.ladder import FRAMES_PER_PART, SEGMENT_SECONDS

AAC_FRAME_SAMPLES = 1024
AUDIO_RATE = 48_000
AAC_FRAMES_PER_PART = 16
VIDEO_TIMESCALE = 90_000

MEDIA_TIME_BASE_S = 10
"""Event time zero is decode time 10 s: an encoder's priming must never reach below zero, where it
would be written as an unsigned number near 2^64."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The place of one encoded frame: which segment and part, and what it starts or ends."""

    segment: int
    """Counts from 0 at the start of the epoch; the media sequence number adds the epoch's first."""
    part: int
    starts_part: bool
    ends_part: bool
    starts_segment: bool
    ends_segment: bool


@dataclass(frozen=True, slots=True)
class VideoCuts:
    """Cuts of a video track: thirds of a second, segments of two, whatever the frame rate."""

    frame_rate: int

    @property
    def frames_per_part(self) -> int:
        """5, 10 or 20."""
        return FRAMES_PER_PART[self.frame_rate]

    @property
    def frames_per_segment(self) -> int:
        """Frames of a closed group of pictures."""
        return self.frame_rate * SEGMENT_SECONDS

    @property
    def frame_ticks(self) -> int:
        """Duration of a frame on the 90 kHz scale."""
        return VIDEO_TIMESCALE // self.frame_rate

    def at(self, slot: int) -> Cut:
        """The place of the frame in this slot."""
        segment, inside = divmod(slot, self.frames_per_segment)
        part, offset = divmod(inside, self.frames_per_part)
        return Cut(
            segment=segment,
            part=part,
            starts_part=offset == 0,
            ends_part=offset == self.frames_per_part - 1,
            starts_segment=inside == 0,
            ends_segment=inside == self.frames_per_segment - 1,
        )


@dataclass(frozen=True, slots=True)
class AudioCuts:
    """Cuts of AAC at 48 kHz: a segment ends at the first frame boundary at or past the video's.

    Sixteen frames make a part; what is left before a segment's end (13 or 14) is its last part.
    """

    def first_frame(self, segment: int) -> int:
        """Number of the first AAC frame of a segment."""
        samples = segment * SEGMENT_SECONDS * AUDIO_RATE
        return -(-samples // AAC_FRAME_SAMPLES)

    def at(self, frame: int) -> Cut:
        """The place of this AAC frame."""
        segment = frame * AAC_FRAME_SAMPLES // (SEGMENT_SECONDS * AUDIO_RATE)
        # The division above may be off by the one frame that a boundary falls into.
        if frame < self.first_frame(segment):
            segment -= 1
        start, end = self.first_frame(segment), self.first_frame(segment + 1)
        part, offset = divmod(frame - start, AAC_FRAMES_PER_PART)
        last = frame == end - 1
        return Cut(
            segment=segment,
            part=part,
            starts_part=offset == 0,
            ends_part=last or offset == AAC_FRAMES_PER_PART - 1,
            starts_segment=frame == start,
            ends_segment=last,
        )


def video_start_ticks(event_time_s: float) -> int:
    """Decode time of an epoch's first video frame."""
    return round((MEDIA_TIME_BASE_S + event_time_s) * VIDEO_TIMESCALE)


def audio_start_samples(event_time_s: float) -> int:
    """Decode time of an epoch's first AAC frame."""
    return round((MEDIA_TIME_BASE_S + event_time_s) * AUDIO_RATE)
