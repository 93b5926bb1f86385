"""Tracks: what somebody publishes, and whether it is heard and seen."""

from dataclasses import dataclass, replace
from enum import Enum


class MediaKind(Enum):
    """What a track carries."""

    AUDIO = "audio"
    VIDEO = "video"


class Source(Enum):
    """What a track shows."""

    CAMERA = "camera"
    MICROPHONE = "microphone"
    SCREEN = "screen"
    SCREEN_AUDIO = "screen_audio"

    @classmethod
    def usual(cls, kind: MediaKind) -> "Source":
        """The source of a track whose publisher did not say."""
        return cls.CAMERA if kind is MediaKind.VIDEO else cls.MICROPHONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One published medium.

    Attributes:
        order: counts publications of a node; a larger one is newer.
        self_muted: its owner muted it.
        host_muted: a host muted the owner's tracks of this kind.
        flowing: packets have arrived lately.
        hidden: its owner is not shown on stage.
    """

    id: str
    owner: str
    kind: MediaKind
    source: Source
    codec: str
    order: int
    layers: tuple[str, ...] = ()
    self_muted: bool = False
    host_muted: bool = False
    flowing: bool = True
    hidden: bool = False

    @property
    def muted(self) -> bool:
        """Whether nobody gets it: either its owner or a host suffices."""
        return self.self_muted or self.host_muted

    @property
    def on_air(self) -> bool:
        """Whether there is something to show."""
        return self.flowing and not self.muted and not self.hidden


@dataclass(frozen=True, slots=True)
class HostMutes:
    """What a host has muted of a participant; holds for tracks published later, too."""

    audio: bool = False
    video: bool = False

    def changed(self, *, audio: bool | None, video: bool | None) -> "HostMutes":
        """With the named kinds changed; None leaves a kind as it is."""
        return HostMutes(
            audio=self.audio if audio is None else audio,
            video=self.video if video is None else video,
        )

    def covers(self, kind: MediaKind) -> bool:
        """Whether tracks of this kind are muted by a host."""
        return self.audio if kind is MediaKind.AUDIO else self.video

    def apply(self, track: Track) -> Track:
        """The track under these mutes."""
        return replace(track, host_muted=self.covers(track.kind))
