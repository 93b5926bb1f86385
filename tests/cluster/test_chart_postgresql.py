"""The script by which the chart's PostgreSQL starts, with the real programs."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg
import pytest
from odeon_cli.up.ports import block_of_ports
from odeon_testkit import charts, wait
from odeon_testkit.postgres import postgres_programs
from psycopg.rows import TupleRow

pytestmark = pytest.mark.postgres
PASSWORD = "it's a secret"
# It refuses to run as root.
AS_POSTGRES = (
    ()
    if os.getuid()
    else ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--")
)


@contextmanager
def started(folder: Path, port: int, password: str) -> Iterator[None]:
    """The script, as the pod runs it."""
    env = {
        "PATH": f"{postgres_programs()}:{os.environ['PATH']}",
        "PGDATA": str(folder / "pgdata"),
        "POSTGRESQL_PASSWORD": password,
    }
    script = (charts.CHART / "files" / "postgresql.sh").read_text()
    options = ("-c", f"port={port}", "-c", "shared_buffers=16MB", "-c", "fsync=off")
    process = subprocess.Popen([*AS_POSTGRES, "sh", "-c", script, "sh", *options], env=env, cwd="/")
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


async def connected(port: int, database: str, password: str) -> psycopg.Connection[TupleRow]:
    """A connection, once the server takes some."""
    made = []

    async def came() -> bool:
        address = f"host=127.0.0.1 port={port} dbname={database} user=odeon"
        try:
            made.append(psycopg.connect(address, password=password, autocommit=True))
        except psycopg.OperationalError as error:
            if "password" in str(error):
                raise
            return False
        return True

    await wait.until(came, timeout_s=60)
    return made[0]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the user of the server may write."""
    with tempfile.TemporaryDirectory(prefix="odeon-chart-pg-") as name:
        if AS_POSTGRES:
            shutil.chown(name, "postgres")
        yield Path(name)


async def test_a_database_is_made_once_and_the_secret_says_its_password(folder: Path) -> None:
    port = block_of_ports(0, 1, ("127.0.0.1",))
    # What a start that was cut off leaves is no database.
    half = folder / "pgdata.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("15")
    if AS_POSTGRES:
        shutil.chown(half, "postgres")

    with started(folder, port, PASSWORD):
        with closing(await connected(port, "auth", PASSWORD)) as auth:
            auth.execute("CREATE SCHEMA auth")
            auth.execute("CREATE TABLE auth.kept (n int)")
        with closing(await connected(port, "room", PASSWORD)) as room:
            room.execute("CREATE SCHEMA room")
    # As a volume whose group was changed by a mount.
    (folder / "pgdata").chmod(0o770)
    with started(folder, port, "another"):
        with closing(await connected(port, "auth", "another")) as auth:
            kept = auth.execute("SELECT count(*) FROM auth.kept").fetchone()
            power = auth.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'odeon'").fetchone()
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            await connected(port, "auth", PASSWORD)
        with pytest.raises(psycopg.OperationalError, match="no pg_hba"):
            psycopg.connect(f"host=127.0.0.1 port={port} dbname=postgres user=postgres")

    assert kept == (0,)
    assert power == (False,)
