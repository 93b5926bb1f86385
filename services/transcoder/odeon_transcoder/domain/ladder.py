"""Which renditions an event gets: profiles as data, fitted to what the source delivers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

FRAMES_PER_PART = {15: 5, 30: 10, 60: 20}
"""Frame rates whose third of a second is a whole number of frames (and so is every part)."""

SEGMENT_SECONDS = 2
VIDEO_PART_TARGET_S = 0.334
AUDIO_PART_TARGET_S = 0.342
"""Sixteen AAC frames at 48 kHz are 341.3 ms."""

VIDEO_PEAK_FACTOR = 1.4
"""Peak of a 2 s segment over the mean, from the encoders' rate limits."""
AUDIO_PEAK_FACTOR = 1.1

TrackKind = Literal["audio", "video"]


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height in pixels, even, because chroma has half of each."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Rung:
    """One video rendition."""

    size: Size
    bitrate_bps: int
    codec: str = ""
    """As players were told (RFC 6381); empty when nobody was told yet."""

    @property
    def track(self) -> str:
        """Track id, `v` and the height."""
        return f"v{self.size.height}"


@dataclass(frozen=True, slots=True)
class AudioRung:
    """The audio rendition: AAC-LC, 48 kHz, stereo."""

    bitrate_bps: int = 128_000

    @property
    def track(self) -> str:
        """Track id, `a` and the bit rate in kb/s."""
        return f"a{self.bitrate_bps // 1000}"


@dataclass(frozen=True, slots=True)
class TrackSpec:
    """What the recorder must know of a rendition before it grants an epoch."""

    track: str
    kind: TrackKind
    codec: str
    bandwidth_bps: int
    width: int
    height: int
    frame_rate: float
    part_target_s: float
    segment_target_s: int


@dataclass(frozen=True, slots=True)
class Profile:
    """What an operator offers under a name; rungs from the largest to the smallest."""

    name: str
    rungs: tuple[Rung, ...]
    audio: AudioRung = AudioRung()
    max_frame_rate: int = 30


@dataclass(frozen=True, slots=True)
class Ladder:
    """What one epoch really encodes; the first rung's size is the size of the composition."""

    rungs: tuple[Rung, ...]
    audio: AudioRung
    frame_rate: int

    @property
    def canvas(self) -> Size:
        """Size of the composed picture."""
        return self.rungs[0].size

    @property
    def frames_per_part(self) -> int:
        """Frames in a third of a second."""
        return FRAMES_PER_PART[self.frame_rate]


R1080 = Rung(Size(1920, 1080), 5_000_000)
R720 = Rung(Size(1280, 720), 2_800_000)
R480 = Rung(Size(854, 480), 1_200_000)
R240 = Rung(Size(426, 240), 400_000)

PROFILES = {
    profile.name: profile
    for profile in (
        Profile("default", (R720, R480, R240)),
        Profile("full-hd", (R1080, R720, R480, R240)),
        Profile("light", (R480, R240), max_frame_rate=15),
        Profile("single", (R720,)),
    )
}
"""Bit rates are for talking heads and slides, a quarter under the usual film ladders."""


def profile_named(name: str) -> Profile:
    """The profile of this name; the default one when there is none, so that an event still runs."""
    return PROFILES.get(name, PROFILES["default"])


def fit(profile: Profile, source: Size | None, source_rate: float | None) -> Ladder:
    """Fit a profile to its source: never upscale, and never encode frames that nobody made.

    A rung larger than the source goes, but the source's own size becomes the top rung when the
    next one would lose a quarter of the lines. The only rung of a profile stays, upscaled or not.
    An unknown source gets the whole profile.
    """
    rate = _frame_rate(profile.max_frame_rate, source_rate)
    rungs = profile.rungs
    if source is not None and len(rungs) > 1:
        # Rounded up, because 426 pixels are 239.6 lines of 16:9.
        height = min(source.height, -(-source.width * 9 // 16))
        kept = tuple(rung for rung in rungs if rung.size.height <= height)
        top = kept[0].size.height if kept else 0
        own = max(height // 2 * 2, 2)
        if kept != rungs and top * 4 <= own * 3:
            kept = (_own_rung(own, rungs), *kept)
        rungs = kept or rungs[-1:]
    return Ladder(rungs=rungs, audio=profile.audio, frame_rate=rate)


def written_by(specs: Sequence[TrackSpec]) -> Ladder | None:
    """The ladder that wrote these renditions; None when no transcoder did."""
    video = sorted((s for s in specs if s.kind == "video"), key=lambda s: -s.height)
    audio = [s for s in specs if s.kind == "audio"]
    rates = {round(s.frame_rate) for s in video}
    if len(audio) != 1 or len(rates) != 1 or not rates <= FRAMES_PER_PART.keys():
        return None
    ladder = Ladder(
        rungs=tuple(
            Rung(Size(s.width, s.height), round(s.bandwidth_bps / VIDEO_PEAK_FACTOR), s.codec)
            for s in video
        ),
        audio=AudioRung(round(audio[0].bandwidth_bps / AUDIO_PEAK_FACTOR)),
        frame_rate=rates.pop(),
    )
    names = {*(rung.track for rung in ladder.rungs), ladder.audio.track}
    return ladder if names == {s.track for s in specs} else None


def _frame_rate(limit: int, source_rate: float | None) -> int:
    allowed = [rate for rate in FRAMES_PER_PART if rate <= limit] or [min(FRAMES_PER_PART)]
    if source_rate is None:
        return allowed[-1]
    # Half a frame of tolerance, because the rate was measured.
    return next((rate for rate in allowed if rate + 0.5 >= source_rate), allowed[-1])


def _own_rung(height: int, rungs: tuple[Rung, ...]) -> Rung:
    """A 16:9 rung of this height; bits per pixel as in the next larger rung of the profile."""
    width = round(height * 16 / 9 / 2) * 2
    model = min(
        (rung for rung in rungs if rung.size.height >= height),
        key=lambda rung: rung.size.height,
        default=rungs[0],
    )
    share = (width * height) / (model.size.width * model.size.height)
    # Small pictures need more bits a pixel than large ones: the usual 3/4 power rule.
    return Rung(Size(width, height), round(model.bitrate_bps * share**0.75 / 1000) * 1000)
