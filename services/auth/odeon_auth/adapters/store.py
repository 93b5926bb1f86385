"""The store on SQL: SQLite or PostgreSQL, the same statements."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

from odeon_runtime.ids import TenantId
from odeon_runtime.repeats import Repeated
from odeon_runtime.sql import EVERY_TENANT, Database
from sqlalchemy import RowMapping, Table, delete, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from odeon_auth.adapters.tables import api_keys, requests, sessions, tenants
from odeon_auth.domain.api_keys import ApiKey
from odeon_auth.domain.roles import Role
from odeon_auth.domain.sessions import Session
from odeon_auth.domain.tenants import Tenant
from odeon_auth.ports import Transaction

T = TypeVar("T")


class SqlTransaction:
    """One transaction of one tenant; implements `ports.Transaction`."""

    def __init__(self, tx: AsyncConnection, tenant: str, now: Callable[[], datetime]) -> None:
        self._tx = tx
        self._tenant = tenant
        self._now = now

    async def tenant(self) -> Tenant | None:
        """The tenant itself."""
        row = await self._one(select(tenants).where(tenants.c.tenant_id == self._tenant))
        return (
            None
            if row is None
            else Tenant(TenantId(row["tenant_id"]), row["display_name"], row["create_time"])
        )

    async def add_tenant(self, tenant: Tenant) -> None:
        """Store a new tenant."""
        await self._tx.execute(
            insert(tenants).values(
                tenant_id=self._tenant,
                display_name=tenant.display_name,
                create_time=tenant.create_time,
            )
        )

    async def key(self, key_id: str) -> ApiKey | None:
        """An API key of the tenant."""
        query = select(api_keys).where(
            api_keys.c.tenant_id == self._tenant, api_keys.c.key_id == key_id
        )
        row = await self._one(query)
        return None if row is None else _to_key(row)

    async def keys(self, *, limit: int, after: tuple[datetime, str] | None) -> list[ApiKey]:
        """API keys, oldest first."""
        query = select(api_keys).where(api_keys.c.tenant_id == self._tenant)
        if after:
            query = query.where(tuple_(api_keys.c.create_time, api_keys.c.key_id) > after)
        query = query.order_by(api_keys.c.create_time, api_keys.c.key_id).limit(limit)
        return [_to_key(row) for row in (await self._tx.execute(query)).mappings()]

    async def put_key(self, key: ApiKey) -> None:
        """Store a new or changed API key."""
        await self._put(
            api_keys,
            {"key_id": key.id},
            {
                "secret_hash": key.secret_hash,
                "display_name": key.display_name,
                "role": key.role.value,
                "create_time": key.create_time,
                "revoke_time": key.revoke_time,
            },
        )

    async def session(self, session_id: str) -> Session | None:
        """A session of the tenant; locked until the end of a writing transaction."""
        query = select(sessions).where(
            sessions.c.tenant_id == self._tenant, sessions.c.session_id == session_id
        )
        row = await self._one(query.with_for_update())
        return None if row is None else _to_session(row)

    async def put_session(self, session: Session) -> None:
        """Store a new or changed session."""
        await self._put(
            sessions,
            {"session_id": session.id},
            {
                "event_id": session.event,
                "identity": session.identity,
                "role": session.role.value,
                "create_time": session.create_time,
                "expire_time": session.expire_time,
                "revoke_time": session.revoke_time,
            },
        )

    async def repeated(self, method: str, request_id: str) -> Repeated | None:
        """What an earlier request with this id made."""
        query = select(requests).where(
            requests.c.tenant_id == self._tenant,
            requests.c.method == method,
            requests.c.request_id == request_id,
        )
        row = await self._one(query)
        return None if row is None else Repeated(row["digest"], row["resource"])

    async def remember(self, method: str, request_id: str, made: Repeated) -> None:
        """Note what a request made; a concurrent one with the same id conflicts here."""
        await self._tx.execute(
            insert(requests).values(
                tenant_id=self._tenant,
                method=method,
                request_id=request_id,
                digest=made.digest,
                resource=made.resource,
                create_time=self._now(),
            )
        )

    async def _one(self, query: Any) -> RowMapping | None:
        return (await self._tx.execute(query)).mappings().one_or_none()

    async def _put(self, table: Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        key = {"tenant_id": self._tenant, **key}
        where = [table.c[name] == value for name, value in key.items()]
        changed = await self._tx.execute(update(table).where(*where).values(values))
        if not changed.rowcount:
            await self._tx.execute(insert(table).values({**key, **values}))


class SqlStore:
    """Auth's database; implements `ports.Store`."""

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    @asynccontextmanager
    async def reading(self, tenant: str) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._database.read(tenant) as tx:
            yield SqlTransaction(tx, tenant, self._now)

    async def atomically(self, tenant: str, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """A transaction that writes; `work` runs again when a concurrent one was faster."""
        return await self._database.atomically(
            tenant, lambda tx: work(SqlTransaction(tx, tenant, self._now))
        )

    async def find_key(self, key_id: str) -> ApiKey | None:
        """An API key of any tenant, by the id within the credential."""
        async with self._database.read(EVERY_TENANT) as tx:
            query = select(api_keys).where(api_keys.c.key_id == key_id)
            row = (await tx.execute(query)).mappings().one_or_none()
            return None if row is None else _to_key(row)

    async def revoked_sessions(self, now: datetime) -> list[Session]:
        """Ended sessions of all tenants whose tokens may still live."""
        query = select(sessions).where(
            sessions.c.revoke_time.is_not(None), sessions.c.expire_time > now
        )
        async with self._database.read(EVERY_TENANT) as tx:
            return [_to_session(row) for row in (await tx.execute(query)).mappings()]

    async def forget_expired(self, before: datetime) -> int:
        """Delete sessions that ended, and request ids that were used, `before`."""
        async with self._database.write(EVERY_TENANT) as tx:
            gone = await tx.execute(delete(sessions).where(sessions.c.expire_time < before))
            await tx.execute(delete(requests).where(requests.c.create_time < before))
            return gone.rowcount


def _to_key(row: RowMapping) -> ApiKey:
    return ApiKey(
        tenant=row["tenant_id"],
        id=row["key_id"],
        secret_hash=row["secret_hash"],
        display_name=row["display_name"],
        role=Role(row["role"]),
        create_time=row["create_time"],
        revoke_time=row["revoke_time"],
    )


def _to_session(row: RowMapping) -> Session:
    return Session(
        tenant=row["tenant_id"],
        id=row["session_id"],
        event=row["event_id"],
        identity=row["identity"],
        role=Role(row["role"]),
        create_time=row["create_time"],
        expire_time=row["expire_time"],
        revoke_time=row["revoke_time"],
    )
