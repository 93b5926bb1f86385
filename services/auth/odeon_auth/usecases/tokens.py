"""Tokens: traded for keys and secrets, issued by rights, ended by session."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from odeon_runtime.errors import DomainError, InvalidArgument, Kind
from odeon_runtime.ids import Identity, SessionId, TenantId, new_id
from odeon_runtime.principal import Principal
from odeon_runtime.tokens import Audience, Claims

from odeon_auth.domain import api_keys, roles, sessions
from odeon_auth.domain.api_keys import Credential
from odeon_auth.domain.sessions import Session, SessionNotFound
from odeon_auth.domain.tokens import API_TTL, SERVICE_TTL, Terms, TokenKind, Wish, terms
from odeon_auth.ports import Store, Transaction
from odeon_auth.usecases.context import Clock
from odeon_auth.usecases.trust import Signer

_MAX_NAME = 100


class ServiceSecretInvalid(DomainError):
    """Not the deployment's service secret."""

    kind = Kind.UNAUTHENTICATED
    reason = "SERVICE_SECRET_INVALID"


@dataclass(frozen=True, slots=True)
class Issued:
    """A token, and what its holder must know about it."""

    token: str
    expires_at: datetime
    session_id: str = ""


class Tokens:
    """Use cases of tokens and sessions."""

    def __init__(
        self,
        store: Store,
        signer: Signer,
        now: Clock,
        *,
        service_secret: str,
        on_revoked: Callable[[Session], None],
    ) -> None:
        self._store = store
        self._signer = signer
        self._now = now
        self._service_secret = service_secret
        self._on_revoked = on_revoked

    async def exchange(self, secret: str) -> Issued:
        """Trade an API key for an access token to its tenant."""
        credential = Credential.parse(secret)
        key = api_keys.authenticate(credential, await self._store.find_key(credential.key_id))
        now = self._now()
        claims = Claims(
            audience=Audience.API,
            subject=key.session_id,
            role=key.role.value,
            tenant=key.tenant,
            session_id=key.session_id,
            name=key.display_name,
            permissions=tuple(sorted(roles.tenant_wide(key.role))),
            issued_at=_seconds(now),
            expires_at=_seconds(now + API_TTL),
        )
        return Issued(await self._signer.sign(claims), now + API_TTL)

    async def issue_service(self, service: str, secret: str) -> Issued:
        """Trade the deployment's secret for a service token.

        Raises:
            ServiceSecretInvalid: also when the deployment has none.
        """
        proven = hmac.compare_digest(secret.encode(), self._service_secret.encode())
        if not proven or not self._service_secret:
            raise ServiceSecretInvalid("not the service secret")
        name = TenantId.parse(service)  # a slug
        now = self._now()
        claims = Claims(
            audience=Audience.SERVICE,
            subject=f"svc:{name}",
            role="service",
            issued_at=_seconds(now),
            expires_at=_seconds(now + SERVICE_TTL),
        )
        return Issued(await self._signer.sign(claims), now + SERVICE_TTL)

    async def issue(self, caller: Principal, wish: Wish, *, tenant_id: str) -> Issued:
        """Issue a token for an event within the caller's rights, in a new or an old session."""
        tenant, now = TenantId.parse(caller.tenant_or(tenant_id)), self._now()
        granted = terms(wish, caller, now)
        session_id = SessionId.parse(wish.session_id or new_id("s"))
        identity = Identity.parse(wish.identity) if wish.identity else ""

        async def work(tx: Transaction) -> Session:
            known = await tx.session(session_id)
            until = granted.expires_at
            session = (
                sessions.extended(known, event=wish.event, identity=identity, until=until)
                if known
                else Session(
                    tenant=tenant,
                    id=session_id,
                    event=wish.event,
                    identity=identity or _fresh_identity(wish.kind),
                    role=granted.role,
                    create_time=now,
                    expire_time=until,
                )
            )
            await tx.put_session(session)
            return session

        session = await self._store.atomically(tenant, work)
        claims = _claims(wish, granted, session, now)
        return Issued(await self._signer.sign(claims), granted.expires_at, session.id)

    async def revoke(self, caller: Principal, session_id: str, *, tenant_id: str = "") -> None:
        """End a session: its tokens stop working within five seconds."""
        tenant, now = caller.tenant_or(tenant_id), self._now()
        wanted = SessionId.parse(session_id)

        async def work(tx: Transaction) -> Session:
            session = await tx.session(wanted)
            if session is None:
                raise SessionNotFound("no such session", session_id=wanted)
            session = sessions.revoked(session, by=caller, now=now)
            await tx.put_session(session)
            return session

        self._on_revoked(await self._store.atomically(tenant, work))


def _claims(wish: Wish, granted: Terms, session: Session, now: datetime) -> Claims:
    name = wish.display_name.strip()
    if len(name) > _MAX_NAME or not name.isprintable():
        raise InvalidArgument(
            field="display_name", problem=f"at most {_MAX_NAME} printable characters"
        )
    return Claims(
        audience=Audience(granted.kind.audience),
        subject=session.identity,
        role=granted.role.value,
        tenant=session.tenant,
        event=session.event,
        session_id=session.id,
        name=name,
        permissions=tuple(sorted(granted.permissions)),
        issued_at=_seconds(now),
        expires_at=_seconds(granted.expires_at),
    )


def _fresh_identity(kind: TokenKind) -> str:
    # Many may hold one link: whoever enters by it gets an identity of its own (see room).
    return new_id("link" if kind is TokenKind.INVITE else "p")


def _seconds(time: datetime) -> int:
    return int((time - datetime.fromtimestamp(0, tz=time.tzinfo)) / timedelta(seconds=1))
