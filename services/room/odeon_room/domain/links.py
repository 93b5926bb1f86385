"""Addresses of an event: pages, WHIP, WHEP, playlist. Tokens of pages go in the fragment."""

from dataclasses import dataclass
from datetime import datetime, timedelta

STAGE_PATH = "/stage"
_INVITE_AFTER_START = timedelta(days=7)
_LONGEST_INVITE = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Bases:
    """Base URLs as browsers and players see them, without a slash at the end."""

    public: str
    edge: str

    @classmethod
    def of(cls, public: str, edge: str) -> "Bases":
        """Trim what people write."""
        return cls(public.rstrip("/"), edge.rstrip("/"))

    def page(self, page: str, event: str, invite: str) -> str:
        """A page; the fragment never reaches a server or its log."""
        return f"{self.public}/{page}/{event}#invite={invite}"

    def whip(self, event: str) -> str:
        """Where encoders publish (RFC 9725)."""
        return f"{self.public}/whip/{event}"

    def whep(self, event: str) -> str:
        """Where sub-second viewers play."""
        return f"{self.public}/whep/{event}"

    def playlist(self, tenant: str, event: str, playback_token: str) -> str:
        """The HLS multivariant playlist through an edge."""
        return f"{self.edge}/t/{playback_token}/{tenant}/{event}/main.m3u8"


@dataclass(frozen=True, slots=True)
class EventLinks:
    """Addresses and tokens of an event, for those who run it."""

    studio_url: str
    guest_url: str
    watch_url: str
    whip_url: str
    whip_token: str
    whep_url: str
    playlist_url: str


def invite_ttl(schedule_time: datetime | None, now: datetime) -> timedelta:
    """How long a link works: until a week after the planned start, thirty days at most."""
    start = max(schedule_time or now, now)
    return min(start - now + _INVITE_AFTER_START, _LONGEST_INVITE)
