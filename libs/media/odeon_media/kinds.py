"""Names that the media core uses."""

from typing import Literal, TypeAlias

MediaKind: TypeAlias = Literal["audio", "video"]
SessionKind: TypeAlias = Literal["publish", "subscribe", "whep"]
Codec: TypeAlias = Literal["opus", "vp8", "vp9", "h264", "av1"]
