"""Sessions: one visit of one holder. All tokens of a visit end together."""

from dataclasses import dataclass, replace
from datetime import datetime

from odeon_runtime.errors import DomainError, Kind, NotFound
from odeon_runtime.principal import Principal

from odeon_auth.domain.roles import Role


class SessionNotFound(NotFound):
    """No such session in the caller's tenant and event."""

    reason = "SESSION_NOT_FOUND"


class SessionRevokedError(DomainError):
    """The session was ended; nothing more is issued within it."""

    kind = Kind.PRECONDITION
    reason = "SESSION_REVOKED"


class SessionMismatch(DomainError):
    """The session belongs to another holder or event."""

    kind = Kind.PRECONDITION
    reason = "SESSION_MISMATCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A visit. `event` is empty for an API key's."""

    tenant: str
    id: str
    event: str
    identity: str
    role: Role
    create_time: datetime
    expire_time: datetime
    revoke_time: datetime | None = None


def extended(session: Session, *, event: str, identity: str, until: datetime) -> Session:
    """The session with one more token in it, which lives `until`.

    Raises:
        SessionRevokedError: it was ended.
        SessionMismatch: the token would be for another event or another holder.
    """
    if session.revoke_time is not None:
        raise SessionRevokedError("the session was ended", session_id=session.id)
    if session.event != event or (identity and session.identity != identity):
        raise SessionMismatch("the session is somebody else's", session_id=session.id)
    return replace(session, expire_time=max(session.expire_time, until))


def revoked(session: Session, *, by: Principal, now: datetime) -> Session:
    """The session, ended; ending it twice keeps the first time.

    Raises:
        SessionNotFound: the caller is bound to another event.
    """
    if by.event is not None and by.event != session.event:
        raise SessionNotFound("no such session", session_id=session.id)
    return session if session.revoke_time else replace(session, revoke_time=now)
