"""SQL for services that own a database: SQLite embedded, PostgreSQL by URL, one code path.

A transaction is opened for a tenant. On PostgreSQL the tenant also goes into the setting
`odeon.tenant`, on which the row-level security policies of the migrations rest: a second wall
behind the queries, which all start with the tenant themselves.
"""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Connection, Dialect, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.types import TypeDecorator

from odeon_runtime.errors import DomainError, InvalidArgument, Kind

T = TypeVar("T")

EVERY_TENANT = "*"
"""Scope of housekeeping, and of services that look a thing up by its id alone."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_POOL_SIZE = 8
_POOL_WAIT_S = 2.0
_STATEMENT_MS = 5_000
"""A statement of ours takes milliseconds; one that takes seconds waits for something broken."""
_ATTEMPTS = 4


class DatabaseBusy(DomainError):
    """No connection became free in time: shed load instead of queueing."""

    kind = Kind.EXHAUSTED
    reason = "DATABASE_BUSY"


class DatabaseUnavailable(DomainError):
    """The database does not answer; nothing was changed."""

    kind = Kind.UNAVAILABLE
    reason = "DATABASE_UNAVAILABLE"


class SchemaOutdated(Exception):
    """The database lacks a migration; the message says which command runs it."""


class UtcTime(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 so that both databases agree."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Refuse naive times; to microseconds."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return (value - _EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """To an aware datetime in UTC."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


class Database:
    """One service's database: transactions by tenant, refusals instead of driver errors."""

    def __init__(self, url: str, *, schema: str) -> None:
        """Prepare the pool; connects on first use.

        Args:
            url: "sqlite:///path" or "postgresql://…"; a driver in it is replaced.
            schema: the service's schema on PostgreSQL; SQLite has a file per service instead.
        """
        self._schema = schema
        self.engine = _create_engine(url)
        self.is_sqlite = self.engine.dialect.name == "sqlite"

    @asynccontextmanager
    async def read(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that only reads; never waits for writers."""
        async with self._transaction(tenant, writes=False) as tx:
            yield tx

    @asynccontextmanager
    async def write(self, tenant: str) -> AsyncIterator[AsyncConnection]:
        """A transaction that writes; commits at the end, rolls back on any exception."""
        async with self._transaction(tenant, writes=True) as tx:
            yield tx

    async def atomically(self, tenant: str, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Run `work` in a transaction, again when a concurrent one was faster.

        `work` may run up to four times and must have no effect outside of the transaction.
        """
        for attempt in range(_ATTEMPTS):
            try:
                async with self.write(tenant) as tx:
                    return await work(tx)
            except (IntegrityError, DBAPIError) as error:
                if attempt == _ATTEMPTS - 1 or not _is_conflict(error):
                    raise
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Close every connection."""
        await self.engine.dispose()

    @asynccontextmanager
    async def _transaction(self, tenant: str, *, writes: bool) -> AsyncIterator[AsyncConnection]:
        try:
            async with self.engine.connect() as connection:
                tx = await connection.execution_options(odeon_writes=writes)
                async with tx.begin():
                    if not self.is_sqlite:
                        await tx.execute(_SCOPE, self._scope(tenant, _STATEMENT_MS))
                    yield tx
        except PoolTimeout as error:
            raise DatabaseBusy("the database is busy", retry_after_s=1.0) from error
        except DBAPIError as error:
            lost = isinstance(error, OperationalError) or error.connection_invalidated
            if not lost or _is_conflict(error):
                raise
            raise DatabaseUnavailable("the database does not answer", retry_after_s=1.0) from error

    def _scope(self, tenant: str, statement_ms: int) -> dict[str, str]:
        return {"schema": self._schema, "tenant": tenant, "timeout": str(statement_ms)}

    # Migrations ------------------------------------------------------------------------------

    async def migrate(self, scripts: Path) -> None:
        """Bring the schema up to date; two callers at once do it one after the other."""
        async with self.engine.connect() as connection:
            tx = await connection.execution_options(odeon_writes=True)
            async with tx.begin():
                if not self.is_sqlite:
                    await tx.execute(
                        text("SELECT pg_advisory_xact_lock(hashtext(:name))"),
                        {"name": f"odeon-migrate-{self._schema}"},
                    )
                    await tx.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{self._schema}"'))
                    await tx.execute(_SCOPE, self._scope(EVERY_TENANT, 0))
                await tx.run_sync(_upgrade, scripts)

    async def require_schema(self, scripts: Path, command: str) -> None:
        """Refuse to run on a schema that lacks a migration.

        Raises:
            SchemaOutdated: names `command`, which brings it up to date.
        """
        async with self.read(EVERY_TENANT) as tx:
            missing = await tx.run_sync(_lacks_head, scripts)
        if missing:
            raise SchemaOutdated(f"the database schema is out of date: run `{command}` first")


_SCOPE = text(
    "SELECT set_config('search_path', :schema, true), set_config('odeon.tenant', :tenant, true),"
    " set_config('statement_timeout', :timeout, true)"
)


def _create_engine(url: str) -> AsyncEngine:
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        if parsed.database:
            Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(
            parsed.set(drivername="sqlite+aiosqlite"),
            pool_size=_POOL_SIZE,
            max_overflow=0,
            pool_timeout=_POOL_WAIT_S,
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=_POOL_SIZE,
        max_overflow=0,
        pool_timeout=_POOL_WAIT_S,
        pool_pre_ping=True,
        # A transaction pooler hands a connection to many sessions: nothing may be prepared on it.
        connect_args={
            "prepare_threshold": None,
            "connect_timeout": 5,
            "tcp_user_timeout": _STATEMENT_MS,
        },
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun below, not by the driver
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged write survives a power cut
    cursor.execute("PRAGMA busy_timeout=5000")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A reader that turns writer midway fails with SQLITE_BUSY; so a writer says so at once.
    writes = connection.get_execution_options().get("odeon_writes", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _is_conflict(error: DBAPIError) -> bool:
    """Whether the same transaction may succeed when it runs again."""
    if isinstance(error, IntegrityError):
        return True
    code = getattr(error.orig, "sqlstate", None)
    return code in {"40001", "40P01"}  # serialization_failure, deadlock_detected


def _alembic_config(scripts: Path, connection: Connection) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(scripts))
    config.attributes["connection"] = connection
    return config


def _upgrade(connection: Connection, scripts: Path) -> None:
    from alembic import command

    command.upgrade(_alembic_config(scripts, connection), "head")


def _lacks_head(connection: Connection, scripts: Path) -> bool:
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    wanted = set(ScriptDirectory.from_config(_alembic_config(scripts, connection)).get_heads())
    return set(MigrationContext.configure(connection).get_current_heads()) != wanted


# Pages -----------------------------------------------------------------------------------------

DEFAULT_PAGE = 50
MAX_PAGE = 500


def page_size(requested: int) -> int:
    """Items on a page: the default for zero, at most `MAX_PAGE`; negative is refused."""
    if requested < 0:
        raise InvalidArgument(field="page_size", problem="must not be negative")
    return min(requested or DEFAULT_PAGE, MAX_PAGE)


def page_token(after: datetime, key: str) -> str:
    """Opaque token that continues behind the item created `after` with id `key`."""
    body = json.dumps([(after - _EPOCH) // timedelta(microseconds=1), key]).encode()
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def parse_page_token(token: str) -> tuple[datetime, str] | None:
    """Where to continue; None for the first page. Refuses what `page_token` did not make."""
    if not token:
        return None
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        micros, key = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
        if type(micros) is not int or not isinstance(key, str):
            raise ValueError("not a position")
        return _EPOCH + timedelta(microseconds=micros), key
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError) as error:
        raise InvalidArgument(field="page_token", problem="not a token of this API") from error


def guard_tenant(op: Any, table: str) -> None:
    """In a migration: let PostgreSQL itself refuse rows of other tenants (row-level security)."""
    if op.get_bind().dialect.name != "postgresql":
        return
    mine = (
        "current_setting('odeon.tenant', true) = tenant_id"
        f" OR current_setting('odeon.tenant', true) = '{EVERY_TENANT}'"
    )
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY one_tenant ON {table} USING ({mine}) WITH CHECK ({mine})")
