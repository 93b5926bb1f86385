"""The programme: what somebody sees who watches an event by WHEP without choosing.

First video slot: the newest screen share, else the active speaker, else the first publisher.
First audio slot: the sound of the same person. Further slots: the others, in the same order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from odeon_signaling.domain.tracks import MediaKind, Source, Track

HOLD_S = 2.0
"""A speaker keeps the picture at least this long: shorter cuts make people dizzy."""


@dataclass(frozen=True, slots=True)
class Focus:
    """Who has the picture, and since when (monotonic seconds)."""

    identity: str = ""
    since_s: float = float("-inf")

    def moved(self, speakers: Sequence[str], now_s: float) -> "Focus":
        """The focus after a look at who speaks now, loudest first; silence moves nothing."""
        if not speakers or self.identity in speakers[:1]:
            return self
        if self.identity and now_s - self.since_s < HOLD_S:
            return self
        return Focus(speakers[0], now_s)


@dataclass(frozen=True, slots=True)
class Programme:
    """Tracks in the order of the slots they fill."""

    video: tuple[Track, ...] = ()
    audio: tuple[Track, ...] = ()


def programme(tracks: Iterable[Track], focus: Focus) -> Programme:
    """Order all tracks on air; muted, stalled and hidden ones are left out."""
    shown = [track for track in tracks if track.on_air]
    video = sorted(
        (t for t in shown if t.kind is MediaKind.VIDEO), key=lambda t: _video_rank(t, focus)
    )
    main = video[0].owner if video else focus.identity
    rank_of_owner = {track.owner: rank for rank, track in reversed(list(enumerate(video)))}
    audio = sorted(
        (t for t in shown if t.kind is MediaKind.AUDIO),
        key=lambda t: _audio_rank(t, main, focus, rank_of_owner),
    )
    return Programme(tuple(video), tuple(audio))


def _video_rank(track: Track, focus: Focus) -> tuple[int, int]:
    if track.source is Source.SCREEN:
        return (0, -track.order)
    if track.owner == focus.identity:
        return (1, track.order)
    return (2, track.order)


def _audio_rank(
    track: Track, main: str, focus: Focus, rank_of_owner: Mapping[str, int]
) -> tuple[int, int, int, int]:
    # A voice before a screen's sound: a share without its speaker is a silent film.
    wordless = int(track.source is Source.SCREEN_AUDIO)
    if track.owner == main:
        return (0, wordless, 0, track.order)
    if track.owner == focus.identity:
        return (1, wordless, 0, track.order)
    return (2, rank_of_owner.get(track.owner, len(rank_of_owner)), wordless, track.order)
