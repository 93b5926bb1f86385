"""Tokens: the kinds, how long each may live, and who may issue which for whom."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from odeon_runtime.errors import InvalidArgument, PermissionDenied
from odeon_runtime.ids import EventId
from odeon_runtime.principal import Principal

from odeon_auth.domain import roles
from odeon_auth.domain.roles import Role

API_TTL = timedelta(hours=1)
"""Life of an access token that an API key was traded for; the key makes the next one."""
SERVICE_TTL = timedelta(minutes=10)
LONGEST_TTL = timedelta(days=30)
"""No token lives longer; so a retired signing key is needed no longer than this."""
_SHORTEST_TTL = timedelta(seconds=1)
TRADER = "room"
"""The service through which the holder of a link trades it for other tokens."""


@dataclass(frozen=True, slots=True)
class _Rules:
    """What holds for a kind of token."""

    audience: str
    default: timedelta
    maximum: timedelta
    role: Role
    roles: frozenset[Role]


_SEATS = frozenset({Role.HOST, Role.ASSISTANT, Role.MODERATOR, Role.GUEST})
_PEOPLE = _SEATS | {Role.VIEWER}


class TokenKind(Enum):
    """What a token is good for."""

    INVITE = _Rules("odeon:invite", timedelta(days=7), LONGEST_TTL, Role.VIEWER, _PEOPLE)
    # At most ten minutes to use; a session that has joined outlives its token.
    JOIN = _Rules(
        "odeon:stage",
        timedelta(minutes=10),
        timedelta(minutes=10),
        Role.GUEST,
        _SEATS | {Role.RECORDER, Role.PROBER},
    )
    # A stream key: an encoder is started by hand, hours before or after it was made.
    PUBLISH = _Rules(
        "odeon:publish",
        timedelta(hours=24),
        timedelta(hours=24),
        Role.PUBLISHER,
        frozenset({Role.PUBLISHER, Role.HOST, Role.GUEST, Role.PROBER}),
    )
    # Sits in the path of every media URL of a player that may run all day.
    PLAYBACK = _Rules(
        "odeon:playback",
        timedelta(hours=12),
        timedelta(hours=24),
        Role.VIEWER,
        _PEOPLE | {Role.PROBER},
    )
    ACCESS = _Rules("odeon:api", timedelta(hours=12), timedelta(hours=12), Role.VIEWER, _PEOPLE)

    @property
    def audience(self) -> str:
        """The `aud` claim."""
        return self.value.audience

    def permissions(self, role: Role) -> frozenset[str]:
        """What a token of this kind says its holder may do.

        Media tokens travel in URLs and encoders' settings: they carry next to nothing.
        """
        if self is TokenKind.ACCESS:
            return roles.within_event(role)
        if self is TokenKind.INVITE:
            return frozenset({"events.enter", "tokens.issue"})
        if self is TokenKind.PLAYBACK:
            return frozenset({"beacons.send"})
        if self is TokenKind.JOIN:
            return frozenset({"stage.join", "beacons.send"})
        return frozenset({"stage.publish"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a caller asks for. Empty strings and a None `ttl` mean: as usual."""

    kind: TokenKind
    event: EventId
    identity: str = ""
    display_name: str = ""
    role: str = ""
    ttl: timedelta | None = None
    session_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What the rules allow of a wish."""

    kind: TokenKind
    role: Role
    permissions: frozenset[str]
    expires_at: datetime


def terms(wish: Wish, caller: Principal, now: datetime) -> Terms:
    """Decide on a wish.

    Raises:
        InvalidArgument: the kind does not allow the role, or the ttl is not positive.
        PermissionDenied: the caller may not issue this role or kind.
        NotFound: the caller is bound to another event.
    """
    caller.require_event(wish.event)
    role = Role.parse(wish.role) if wish.role else wish.kind.value.role
    if role not in wish.kind.value.roles:
        raise InvalidArgument(field="role", problem=f"not for {wish.kind.name.lower()} tokens")
    _require_grant(wish.kind, role, caller)
    return Terms(
        kind=wish.kind,
        role=role,
        permissions=wish.kind.permissions(role),
        expires_at=_expiry(wish, caller, now),
    )


def _require_grant(kind: TokenKind, role: Role, caller: Principal) -> None:
    if caller.service and caller.tenant is None:
        return  # a service on its own: transcoder's seat, prober
    holder = Role.parse(caller.role)
    if not roles.may_grant(holder, role):
        raise PermissionDenied("you may not issue this role", role=role.value)
    # A link proves little (it may be public), so it is traded by room's rules or not at all.
    bound_below_host = caller.event is not None and holder is not Role.HOST
    if bound_below_host and (kind is TokenKind.INVITE or caller.service != TRADER):
        raise PermissionDenied("a link is traded by entering the event", kind=kind.name)


def _expiry(wish: Wish, caller: Principal, now: datetime) -> datetime:
    if wish.ttl is not None and wish.ttl < _SHORTEST_TTL:
        raise InvalidArgument(field="ttl", problem="must be at least one second")
    rules = wish.kind.value
    ttl = min(wish.ttl or rules.default, rules.maximum)
    if wish.kind is TokenKind.INVITE and caller.event is not None:
        # Else a link could renew itself for ever.
        left = datetime.fromtimestamp(caller.expires_at, tz=now.tzinfo) - now
        ttl = min(ttl, left)
    return now + ttl
