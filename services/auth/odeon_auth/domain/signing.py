"""Signing keys: which signs, which still verify.

Rotation overlaps, so no call fails by it. When a key has leaked there is no overlap: its tokens
are void at once, those of honest people too, and everybody gets new ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from odeon_auth.domain.tokens import LONGEST_TTL

PUBLISH_AHEAD = timedelta(seconds=15)
"""A new key is in the key set this long before it signs: three times what a verifier may lag."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A key pair's public facts.

    Attributes:
        id: the `kid` of the tokens it signs.
        public_jwk: JSON of the public half.
        activate_time: from when on it signs.
        retire_time: until when its tokens may live; None while it is the newest.
    """

    id: str
    public_jwk: str
    create_time: datetime
    activate_time: datetime
    retire_time: datetime | None = None


def signer(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key to sign with: the newest that has been public long enough and is not retired."""
    active = [k for k in published(keys, now) if k.activate_time <= now]
    return max(active, key=lambda k: (k.activate_time, k.id), default=None)


def published(keys: Sequence[SigningKey], now: datetime) -> list[SigningKey]:
    """Keys of the key set: all whose tokens may live, the coming one included."""
    return [k for k in keys if k.retire_time is None or k.retire_time > now]


def activation(keys: Sequence[SigningKey], now: datetime) -> datetime:
    """When a key made now may sign: at once only when there is none to lean on."""
    return now + PUBLISH_AHEAD if signer(keys, now) else now


def retirement(successor_activates: datetime, *, compromised: bool = False) -> datetime:
    """Until when a replaced key verifies: the last token that it signed, or now if it leaked."""
    return successor_activates if compromised else successor_activates + LONGEST_TTL
