"""Refusals of the media core: one class per kind of cause, a stable reason, a sentence."""


class MediaError(Exception):
    """Base of every refusal.

    Attributes:
        reason: A stable UPPER_SNAKE string that callers may branch on.
        detail: A sentence for people.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


class InvalidSdpError(MediaError):
    """SDP_TOO_LARGE, SDP_TOO_MANY_LINES, SDP_INVALID, SDP_NO_MEDIA, SDP_UNSUPPORTED."""


class InvalidArgumentError(MediaError):
    """INVALID_SESSION_ID, INVALID_CANDIDATE, INVALID_ADDRESS, UNKNOWN_CODEC and other values.

    Further: UNKNOWN_LAYER, UNKNOWN_KIND, UNKNOWN_DIRECTION, CODEC_MISMATCH, NO_MEDIA.
    """


class NotFoundError(MediaError):
    """SESSION_NOT_FOUND, TRACK_NOT_FOUND, SLOT_NOT_FOUND, MID_NOT_FOUND."""


class StateError(MediaError):
    """SESSION_EXISTS, WRONG_SESSION_KIND, NO_PENDING_OFFER, TRACK_OF_OTHER_EVENT, CLOSED.

    Further: ALREADY_NEGOTIATED.
    """


class LimitError(MediaError):
    """TOO_MANY_SESSIONS, TOO_MANY_TRACKS, TOO_MANY_SUBSCRIPTIONS, TOO_MANY_CANDIDATES."""


class TransportError(MediaError):
    """BIND_FAILED, NO_CERTIFICATE."""
