"""The schema is what the migrations make, and PostgreSQL itself keeps tenants apart."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from odeon_room.adapters.tables import metadata, rooms
from odeon_room.app import MIGRATIONS
from odeon_runtime.sql import EVERY_TENANT, Database, SchemaOutdated
from odeon_testkit.postgres import PostgresServer
from sqlalchemy import Connection, select
from sqlalchemy.exc import ProgrammingError

_NOW = datetime(2026, 5, 1, tzinfo=UTC)


@pytest.fixture
async def empty(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, schema="room")
    yield database
    await database.close()


async def test_migrations_make_the_tables_that_the_code_expects(empty: Database) -> None:
    await empty.migrate(MIGRATIONS)

    def difference(connection: Connection) -> object:
        return compare_metadata(MigrationContext.configure(connection), metadata)

    async with empty.read(EVERY_TENANT) as tx:
        assert await tx.run_sync(difference) == []


async def test_migrating_twice_changes_nothing_and_an_old_schema_is_refused(
    empty: Database,
) -> None:
    with pytest.raises(SchemaOutdated, match="migrate-me"):
        await empty.require_schema(MIGRATIONS, "migrate-me")

    await empty.migrate(MIGRATIONS)
    await empty.migrate(MIGRATIONS)

    await empty.require_schema(MIGRATIONS, "migrate-me")


@pytest.mark.postgres
async def test_postgresql_itself_shows_and_takes_no_row_of_another_tenant(
    postgres: PostgresServer,
) -> None:
    database = Database(postgres.new_database(), schema="room")
    await database.migrate(MIGRATIONS)
    row = {
        "tenant_id": "acme",
        "room_id": "hall",
        "display_name": "",
        "max_participants": 2,
        "create_time": _NOW,
    }
    async with database.write("acme") as tx:
        await tx.execute(rooms.insert().values(row))

    async with database.read("other") as tx:
        assert (await tx.execute(select(rooms))).all() == []
    with pytest.raises(ProgrammingError, match="row-level security"):
        async with database.write("other") as tx:
            await tx.execute(rooms.insert().values({**row, "tenant_id": "third"}))
    await database.close()
