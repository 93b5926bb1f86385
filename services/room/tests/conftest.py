"""Room, started for real over SQLite and over PostgreSQL, with its peers around it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from odeon.room.v1 import room_pb2_grpc
from odeon_room import app
from odeon_room.settings import RoomSettings
from odeon_runtime.sql import Database
from odeon_testkit.issuer import SERVICE_SECRET
from odeon_testkit.postgres import PostgresServer, postgres_or_skip
from odeon_testkit.room_peers import RoomApi, RoomPeers, room_peers

Run = Callable[[RoomSettings], AbstractAsyncContextManager[RoomApi]]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_or_skip() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/room.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An empty database of room's, without a service on it."""
    database = Database(database_url, schema=app.SCHEMA)
    await database.migrate(app.MIGRATIONS)
    yield database
    await database.close()


@pytest.fixture
async def peers() -> AsyncIterator[RoomPeers]:
    async with room_peers() as around:
        yield around


@pytest.fixture
def settings(database_url: str, tmp_path: Path, peers: RoomPeers) -> RoomSettings:
    return RoomSettings(
        data_dir=tmp_path,
        database_url=database_url,
        service_secret=SERVICE_SECRET,
        auth_address=peers.auth_address,
        recorder_address=peers.recorder_address,
        public_url="http://gateway.test",
        edge_url="http://edge.test",
    )


@pytest.fixture
def run_room(peers: RoomPeers) -> Run:
    """Starts room with settings of the test's own."""

    @asynccontextmanager
    async def running(settings: RoomSettings) -> AsyncIterator[RoomApi]:
        await app.migrate(settings)
        async with (
            app.start(settings) as addresses,
            grpc.aio.insecure_channel(addresses["grpc"]) as channel,
        ):
            yield RoomApi(room_pb2_grpc.RoomServiceStub(channel), peers)

    return running


@pytest.fixture
async def room(settings: RoomSettings, run_room: Run) -> AsyncIterator[RoomApi]:
    async with run_room(settings) as api:
        yield api
