"""Auth's values to wire and back."""

from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.auth.v1 import auth_pb2
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId

from odeon_auth.domain.api_keys import ApiKey
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.tenants import Tenant
from odeon_auth.domain.tokens import TokenKind, Wish
from odeon_auth.usecases.trust import TrustNews

_KINDS = {
    auth_pb2.TOKEN_KIND_INVITE: TokenKind.INVITE,
    auth_pb2.TOKEN_KIND_JOIN: TokenKind.JOIN,
    auth_pb2.TOKEN_KIND_PUBLISH: TokenKind.PUBLISH,
    auth_pb2.TOKEN_KIND_PLAYBACK: TokenKind.PLAYBACK,
    auth_pb2.TOKEN_KIND_ACCESS: TokenKind.ACCESS,
}


def timestamp(time: datetime | None) -> Timestamp | None:
    """A time on the wire."""
    if time is None:
        return None
    message = Timestamp()
    message.FromDatetime(time)
    return message


def tenant_to_proto(tenant: Tenant) -> auth_pb2.Tenant:
    """A tenant on the wire."""
    return auth_pb2.Tenant(
        name=tenant.id.resource_name,
        display_name=tenant.display_name,
        create_time=timestamp(tenant.create_time),
    )


def key_to_proto(key: ApiKey) -> auth_pb2.ApiKey:
    """An API key on the wire, without its secret."""
    return auth_pb2.ApiKey(
        name=f"apiKeys/{key.id}",
        display_name=key.display_name,
        role=key.role.value,
        create_time=timestamp(key.create_time),
        revoke_time=timestamp(key.revoke_time),
    )


def wish_from_proto(request: auth_pb2.IssueTokenRequest) -> Wish:
    """What an IssueToken asks for; raises InvalidArgument."""
    kind = _KINDS.get(request.kind)
    if kind is None:
        raise InvalidArgument(field="kind", problem="must be one of TokenKind")
    return Wish(
        kind=kind,
        event=EventId.parse_name(request.event),
        identity=request.identity,
        display_name=request.display_name,
        role=request.role,
        ttl=_duration(request.ttl) if request.HasField("ttl") else None,
        session_id=request.session_id,
    )


def _duration(duration: Duration) -> timedelta:
    try:
        return duration.ToTimedelta()
    except (ValueError, OverflowError):
        raise InvalidArgument(field="ttl", problem="not a duration") from None


def news_to_proto(news: TrustNews) -> auth_pb2.WatchTrustResponse:
    """News for a verifier on the wire."""
    return auth_pb2.WatchTrustResponse(
        jwks_json=news.jwks_json,
        revoked_sessions=[_revoked(s) for s in news.revoked],
        snapshot=news.snapshot,
    )


def _revoked(session: Session) -> auth_pb2.RevokedSession:
    return auth_pb2.RevokedSession(
        tenant_id=session.tenant,
        session_id=session.id,
        expire_time=timestamp(session.expire_time),
    )
