"""Tenants and their API keys."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from odeon_runtime.errors import PermissionDenied
from odeon_runtime.ids import TenantId
from odeon_runtime.principal import Principal
from odeon_runtime.repeats import Request
from odeon_runtime.sql import page_size, page_token, parse_page_token

from odeon_auth.domain import api_keys, roles, tenants
from odeon_auth.domain.api_keys import ApiKey, ApiKeyNotFound, Credential
from odeon_auth.domain.roles import Role
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.tenants import Tenant, TenantExists, TenantNotFound
from odeon_auth.domain.tokens import API_TTL
from odeon_auth.ports import Store, Transaction
from odeon_auth.usecases.context import Clock

BOOTSTRAP_TENANT = "default"


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key and, only when it was just made, its secret."""

    tenant: Tenant
    key: ApiKey
    secret: str = ""


def fresh_credential() -> Credential:
    """A new key: 80 random bits to find it by, 256 to prove it."""
    key_id = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return Credential(key_id, secrets.token_urlsafe(32))


class Keys:
    """Use cases of tenants and API keys."""

    def __init__(self, store: Store, now: Clock, on_revoked: Callable[[Session], None]) -> None:
        self._store = store
        self._now = now
        self._on_revoked = on_revoked

    async def create_tenant(
        self, caller: Principal, *, tenant_id: str, display_name: str, request_id: str
    ) -> MadeKey:
        """Create a tenant with its first API key, whose role is owner."""
        tenants.require_deployment(caller)
        tenant = Tenant(
            tenants.tenant_id(tenant_id), tenants.display_name(display_name), self._now()
        )
        request = Request.of("CreateTenant", request_id, tenant.id, tenant.display_name)

        async def work(tx: Transaction) -> MadeKey:
            key_id = await request.first_result(tx)
            if key_id is not None:
                return MadeKey(await _tenant(tx), await _key(tx, key_id))
            if await tx.tenant() is not None:
                raise TenantExists("the tenant id is taken", tenant=tenant.id)
            await tx.add_tenant(tenant)
            made = await self._add_key(tx, tenant, "first key", Role.OWNER)
            await request.made(tx, made.key.id)
            return made

        return await self._store.atomically(tenant.id, work)

    async def get_tenant(self, caller: Principal) -> Tenant:
        """The caller's tenant."""
        async with self._store.reading(caller.require_tenant()) as tx:
            return await _tenant(tx)

    async def create_key(
        self, caller: Principal, *, display_name: str, role: str, request_id: str
    ) -> MadeKey:
        """Create an API key of the caller's tenant."""
        name, wanted = tenants.display_name(display_name), Role.parse(role or Role.OWNER)
        if not roles.may_create_key(Role.parse(caller.role), wanted):
            raise PermissionDenied("you may not make a key with this role", role=wanted.value)
        request = Request.of("CreateApiKey", request_id, name, wanted)

        async def work(tx: Transaction) -> MadeKey:
            tenant = await _tenant(tx)
            key_id = await request.first_result(tx)
            if key_id is not None:
                return MadeKey(tenant, await _key(tx, key_id))
            made = await self._add_key(tx, tenant, name, wanted)
            await request.made(tx, made.key.id)
            return made

        return await self._store.atomically(caller.require_tenant(), work)

    async def list_keys(
        self, caller: Principal, *, size: int, token: str
    ) -> tuple[list[ApiKey], str]:
        """A page of the caller's API keys, and the token of the next one."""
        limit, after = page_size(size), parse_page_token(token)
        async with self._store.reading(caller.require_tenant()) as tx:
            found = await tx.keys(limit=limit + 1, after=after)
        page = found[:limit]
        more = len(found) > limit
        return page, page_token(page[-1].create_time, page[-1].id) if more else ""

    async def revoke_key(self, caller: Principal, name: str) -> ApiKey:
        """Disable a key for good, and the access tokens it was traded for."""
        key_id, now = api_keys.key_id_of(name), self._now()

        async def work(tx: Transaction) -> tuple[ApiKey, Session]:
            key = await _key(tx, key_id)
            key = key if key.revoke_time else replace(key, revoke_time=now)
            await tx.put_key(key)
            session = await tx.session(key.session_id) or key_session(key, now)
            session = session if session.revoke_time else replace(session, revoke_time=now)
            await tx.put_session(session)
            return key, session

        key, session = await self._store.atomically(caller.require_tenant(), work)
        self._on_revoked(session)
        return key

    async def bootstrap(self, secret: str) -> None:
        """Make the tenant "default" and this operator's key of it, as far as they are missing."""
        credential = Credential.parse(secret)
        tenant = Tenant(TenantId(BOOTSTRAP_TENANT), "Default", self._now())

        async def work(tx: Transaction) -> None:
            if await tx.tenant() is None:
                await tx.add_tenant(tenant)
            if await tx.key(credential.key_id) is None:
                await tx.put_key(self._key(tenant, credential, "bootstrap", Role.OPERATOR))

        await self._store.atomically(tenant.id, work)

    async def _add_key(
        self, tx: Transaction, tenant: Tenant, display_name: str, role: Role
    ) -> MadeKey:
        credential = fresh_credential()
        key = self._key(tenant, credential, display_name, role)
        await tx.put_key(key)
        return MadeKey(tenant, key, str(credential))

    def _key(self, tenant: Tenant, credential: Credential, display_name: str, role: Role) -> ApiKey:
        return ApiKey(
            tenant=tenant.id,
            id=credential.key_id,
            secret_hash=credential.hash,
            display_name=display_name,
            role=role,
            create_time=self._now(),
        )


def key_session(key: ApiKey, now: datetime) -> Session:
    """The session of the access tokens that a key was traded for until now."""
    return Session(
        tenant=key.tenant,
        id=key.session_id,
        event="",
        identity=key.session_id,
        role=key.role,
        create_time=now,
        expire_time=now + API_TTL,
    )


async def _tenant(tx: Transaction) -> Tenant:
    tenant = await tx.tenant()
    if tenant is None:
        raise TenantNotFound("no such tenant")
    return tenant


async def _key(tx: Transaction, key_id: str) -> ApiKey:
    key = await tx.key(key_id)
    if key is None:
        raise ApiKeyNotFound("no such API key", key=key_id)
    return key
