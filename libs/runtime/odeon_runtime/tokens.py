"""ES256 tokens: one algorithm, strict checks (RFC 7519, RFC 8725); joserfc does the crypto."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.principal import Principal

ISSUER = "odeon"
LEEWAY_S = 30
_MAX_TOKEN_BYTES = 8192
_REFUSED_HEADERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c"})
_ALGORITHMS = ["ES256"]


class TokenInvalid(DomainError):
    """Not a token of ours, or not for this use."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_INVALID"


class TokenExpired(DomainError):
    """It was good once, or will be."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_EXPIRED"


class TokenRevoked(DomainError):
    """Its session was ended."""

    kind = Kind.UNAUTHENTICATED
    reason = "TOKEN_REVOKED"


class Audience(StrEnum):
    """What a token is good for; a token of one audience is worthless for another."""

    API = "odeon:api"
    INVITE = "odeon:invite"
    STAGE = "odeon:stage"
    PUBLISH = "odeon:publish"
    PLAYBACK = "odeon:playback"
    SERVICE = "odeon:service"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a token says. Times are Unix seconds."""

    audience: Audience
    subject: str
    role: str
    expires_at: int
    issued_at: int
    tenant: str | None = None
    event: str | None = None
    session_id: str = ""
    name: str = ""
    permissions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The JWT claim set; empty claims are left out."""
        optional = {
            "tenant": self.tenant,
            "event": self.event,
            "sid": self.session_id,
            "name": self.name,
            "perms": list(self.permissions),
        }
        return {
            "iss": ISSUER,
            "aud": self.audience.value,
            "sub": self.subject,
            "role": self.role,
            "iat": self.issued_at,
            "nbf": self.issued_at,
            "exp": self.expires_at,
            **{key: value for key, value in optional.items() if value},
        }


class Trust(Protocol):
    """What a verifier asks: keys by id, and which sessions are over."""

    def key(self, key_id: str) -> ECKey | None:
        """Public key with this id, if it may still verify."""
        ...

    def is_revoked(self, tenant: str, session_id: str) -> bool:
        """Whether the session's tokens must not work any more."""
        ...


def sign(claims: Claims, key: ECKey) -> str:
    """Compact JWS of `claims`, with the key's id in the header."""
    header = {"alg": "ES256", "typ": "JWT", "kid": key.kid}
    payload = json.dumps(claims.to_json(), separators=(",", ":")).encode()
    return jws.serialize_compact(header, payload, key, algorithms=_ALGORITHMS)


def _seconds() -> float:
    return time.time()


class Verifier:
    """Turns a token into a `Principal`, or refuses it."""

    def __init__(self, trust: Trust, clock: Callable[[], float] = _seconds) -> None:
        self._trust = trust
        self._clock = clock

    def verify(self, token: str, *audiences: Audience) -> Principal:
        """Check signature, times, audience and revocation.

        Raises:
            TokenInvalid: malformed, unsigned, unknown key, other audience, odd claims.
            TokenExpired: outside of nbf…exp, 30 s of leeway on nbf only.
            TokenRevoked: the session was ended.
        """
        claims, key_id = self._signed_claims(token)
        principal = _to_principal(claims, token, key_id, {a.value for a in audiences})
        if self._clock() + LEEWAY_S < _integer(claims, "nbf"):
            raise TokenExpired("the token is not valid yet")
        self.recheck(principal)
        return principal

    def recheck(self, principal: Principal) -> None:
        """Refuse a principal whose token was good once; cheap, for what stays open for long.

        Raises:
            TokenInvalid: its key was withdrawn.
            TokenExpired, TokenRevoked: as `verify`.
        """
        if self._trust.key(principal.key_id) is None:
            raise TokenInvalid("not a token of this deployment any more")
        if self._clock() >= principal.expires_at:
            raise TokenExpired("the token has expired")
        if principal.session_id and self._trust.is_revoked(
            principal.tenant or "", principal.session_id
        ):
            raise TokenRevoked("the session was ended", session_id=principal.session_id)

    def _signed_claims(self, token: str) -> tuple[Mapping[str, Any], str]:
        if not token or len(token) > _MAX_TOKEN_BYTES or not token.isascii():
            raise TokenInvalid("not a token")
        try:
            obj = jws.extract_compact(token.encode())
            header = obj.headers()
            key_id = header.get("kid")
            refused = _REFUSED_HEADERS.intersection(header)
            key = self._trust.key(key_id) if isinstance(key_id, str) else None
            if header.get("alg") != "ES256" or refused or key is None:
                raise TokenInvalid("not a token of this deployment")
            verified = jws.deserialize_compact(token.encode(), key, algorithms=_ALGORITHMS)
            claims = json.loads(verified.payload)
        except (JoseError, ValueError, UnicodeError, RecursionError, TypeError) as error:
            raise TokenInvalid("not a token of this deployment") from error
        if not isinstance(claims, dict):
            raise TokenInvalid("not a claim set")
        return claims, str(key.kid)


def _integer(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if type(value) is not int or not 0 < value < 2**53:
        raise TokenInvalid(f"{name} must be a positive integer")
    return value


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name, "")
    if not isinstance(value, str):
        raise TokenInvalid(f"{name} must be a string")
    return value


def _to_principal(
    claims: Mapping[str, Any], token: str, key_id: str, audiences: set[str]
) -> Principal:
    if _text(claims, "iss") != ISSUER or _text(claims, "aud") not in audiences:
        raise TokenInvalid("the token is for another use")
    permissions = claims.get("perms", [])
    if not isinstance(permissions, list) or not all(isinstance(p, str) for p in permissions):
        raise TokenInvalid("perms must be a list of strings")
    role = _text(claims, "role")
    is_service = claims["aud"] == Audience.SERVICE.value
    return Principal(
        tenant=_text(claims, "tenant") or None,
        subject=_text(claims, "sub"),
        role=role,
        permissions=frozenset(permissions),
        event=_text(claims, "event") or None,
        session_id=_text(claims, "sid"),
        service=_text(claims, "sub").removeprefix("svc:") if is_service else "",
        name=_text(claims, "name"),
        token=token,
        expires_at=_integer(claims, "exp"),
        key_id=key_id,
    )
