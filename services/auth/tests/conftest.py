"""Auth, started for real over SQLite and over PostgreSQL, and clients that speak to it."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import grpc
import pytest
from odeon.auth.v1 import auth_pb2_grpc
from odeon_auth import app
from odeon_auth.settings import AuthSettings
from odeon_testkit.callers import AuthApi
from odeon_testkit.postgres import PostgresServer, postgres_or_skip
from pydantic import SecretStr

BOOTSTRAP = "odk_bootstrap1_" + "b" * 43
SECRET = "the-deployment's-service-secret"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with postgres_or_skip() as server:
        yield server


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/auth.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> AuthSettings:
    return AuthSettings(
        data_dir=tmp_path,
        database_url=database_url,
        service_secret=SECRET,
        bootstrap_key=SecretStr(BOOTSTRAP),
        snapshot_interval_s=0.2,
    )


@asynccontextmanager
async def running(settings: AuthSettings) -> AsyncIterator[AuthApi]:
    """Auth with these settings, in this process."""
    await app.migrate(settings)
    async with (
        app.start(settings) as addresses,
        grpc.aio.insecure_channel(addresses["grpc"]) as channel,
    ):
        stub = auth_pb2_grpc.AuthServiceStub(channel)
        yield AuthApi(addresses["grpc"], stub, BOOTSTRAP, SECRET)


Run = Callable[[AuthSettings], AbstractAsyncContextManager[AuthApi]]


@pytest.fixture
def run_auth() -> Run:
    """Starts auth with settings of the test's own."""
    return running


@pytest.fixture
async def auth(settings: AuthSettings) -> AsyncIterator[AuthApi]:
    async with running(settings) as api:
        yield api
