"""Who may watch an event by WHEP, and when."""

from odeon_runtime.errors import DomainError, Kind

_EARLY = frozenset({"host", "assistant", "moderator"})
"""Roles that see the programme before the audience does."""


class EventNotLive(DomainError):
    """The audience waits: the event has not started, or is over (then there is a recording)."""

    kind = Kind.PRECONDITION
    reason = "EVENT_NOT_LIVE"


def require_watchable(state: str, role: str) -> None:
    """Refuse a viewer whose event is not LIVE; those who run it watch from WARMUP on.

    Args:
        state: "SCHEDULED", "WARMUP", "LIVE" or "ENDED".
        role: of the playback token.
    """
    if state == "LIVE" or (state == "WARMUP" and role in _EARLY):
        return
    raise EventNotLive("the event is not live", state=state)
