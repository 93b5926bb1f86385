"""Entry: what room said about somebody who comes in."""

from dataclasses import dataclass

from odeon_signaling.domain.tracks import HostMutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Room's word on a newcomer, or what holds until room answers.

    Attributes:
        admitted: comes onto the stage at once.
        removed: a host sent them away for good.
        mutes: what hosts have muted of them; None when room was not heard, so that whatever
            held before goes on.
    """

    admitted: bool
    removed: bool = False
    mutes: HostMutes | None = None
