"""Names that options accept."""

from enum import StrEnum


class TokenKind(StrEnum):
    """What a token is good for."""

    ACCESS = "access"
    INVITE = "invite"
    JOIN = "join"
    PUBLISH = "publish"
    PLAYBACK = "playback"
