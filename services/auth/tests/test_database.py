"""The schema is what the migrations make, and PostgreSQL itself keeps tenants apart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from odeon_auth.adapters.tables import metadata, tenants
from odeon_auth.app import MIGRATIONS
from odeon_runtime.sql import EVERY_TENANT, Database, SchemaOutdated
from odeon_testkit.postgres import PostgresServer
from sqlalchemy import Connection, select
from sqlalchemy.exc import ProgrammingError

_NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, schema="auth")
    yield database
    await database.close()


async def test_migrations_make_the_tables_that_the_code_expects(database: Database) -> None:
    await database.migrate(MIGRATIONS)

    def difference(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with database.read(EVERY_TENANT) as tx:
        assert await tx.run_sync(difference) == []


async def test_migrating_twice_changes_nothing_and_an_old_schema_is_refused(
    database: Database,
) -> None:
    with pytest.raises(SchemaOutdated, match="migrate-me"):
        await database.require_schema(MIGRATIONS, "migrate-me")

    await database.migrate(MIGRATIONS)
    await database.migrate(MIGRATIONS)

    await database.require_schema(MIGRATIONS, "migrate-me")


@pytest.mark.postgres
async def test_postgresql_itself_shows_and_takes_no_row_of_another_tenant(
    postgres: PostgresServer,
) -> None:
    database = Database(postgres.new_database(), schema="auth")
    await database.migrate(MIGRATIONS)
    row = {"tenant_id": "acme", "display_name": "", "create_time": _NOW}
    async with database.write("acme") as tx:
        await tx.execute(tenants.insert().values(row))

    async with database.read("other") as tx:
        assert (await tx.execute(select(tenants))).all() == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.write("other") as tx:
            await tx.execute(tenants.insert().values({**row, "tenant_id": "third"}))
    await database.close()
