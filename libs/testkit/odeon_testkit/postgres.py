"""A real PostgreSQL, of Debian's package, on a Unix socket in a directory of its own."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

_START_S = 30.0
_DEBIAN = Path("/usr/lib/postgresql")
_PORT = 5432  # names the socket's file only; nothing listens on TCP
_SUPERUSER = "postgres"
_ROLE = "odeon"
# A test's cluster is thrown away: no need to survive a power cut.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "dynamic_shared_memory_type": "mmap",
}


class PostgresMissing(FileNotFoundError):
    """No PostgreSQL server programs on this machine."""


def postgres_programs() -> Path:
    """Folder of initdb and postgres: ODEON_POSTGRES_BIN, Debian's newest, or that on the PATH.

    Raises:
        PostgresMissing: with what to install.
    """
    if given := os.environ.get("ODEON_POSTGRES_BIN"):
        return Path(given)
    for folder in sorted(_DEBIAN.glob("*/bin"), key=lambda p: -float(p.parent.name)):
        if (folder / "initdb").exists():
            return folder
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    raise PostgresMissing("PostgreSQL is missing: install Debian's package postgresql")


@dataclass(slots=True)
class PostgresServer:
    """One cluster; `stop()` and `start()` keep its data."""

    directory: Path
    programs: Path
    user: str | None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1), repr=False)

    def url(self, database: str) -> str:
        """Where clients connect, as a role that row-level security holds for."""
        return f"postgresql://{_ROLE}@/{database}?host={self.directory}&port={_PORT}"

    def new_database(self) -> str:
        """An empty database; returns its URL."""
        name = f"odeon_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" OWNER {_ROLE}')
        return self.url(name)

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run SQL as the superuser; returns what psql prints."""
        psql = [
            str(self.programs / "psql"),
            *("-h", str(self.directory), "-p", str(_PORT), "-U", _SUPERUSER, "-d", database),
            *("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", statement),
        ]
        done = subprocess.run(psql, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def create(self) -> None:
        """Make the cluster's files."""
        initdb = [
            *self._as_user(),
            str(self.programs / "initdb"),
            *("-D", str(self.directory / "data"), "-U", _SUPERUSER, "-A", "trust"),
            *("-E", "UTF8", "--locale=C", "--no-sync"),
        ]
        done = subprocess.run(
            initdb, cwd=self.directory, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"initdb failed: {done.stderr}")

    def start(self) -> None:
        """Start; returns when it answers queries."""
        options = [part for k, v in _SETTINGS.items() for part in ("-c", f"{k}={v}")]
        with (self.directory / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._as_user(),
                    str(self.programs / "postgres"),
                    *("-D", str(self.directory / "data")),
                    *("-k", str(self.directory), "-p", str(_PORT)),
                    *options,
                ],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.directory / "postgres.log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self, number: int = signal.SIGINT) -> None:
        """Stop it: SIGINT cuts clients off at once, SIGQUIT also skips the checkpoint."""
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(timeout=30)
            self._process = None

    def _as_user(self) -> list[str]:
        """Words before a command that runs as `user`.

        Not by `Popen(user=…)`: that forks where Python would use vfork, and gRPC's fork handlers
        crash the child when its threads are at work.
        """
        if self.user is None:
            return []
        who = pwd.getpwnam(self.user)
        return ["setpriv", f"--reuid={who.pw_uid}", f"--regid={who.pw_gid}", "--clear-groups"]

    def _answers(self) -> bool:
        try:
            self.execute("SELECT 1")
        except RuntimeError:
            return False
        return True


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A running cluster with the role "odeon"; stopped and deleted at the end.

    PostgreSQL refuses to run as root: there it runs as "postgres", or as "nobody".

    Raises:
        PostgresMissing: not installed.
    """
    programs, user = postgres_programs(), _unprivileged_user()
    with tempfile.TemporaryDirectory(prefix="odeon-pg-") as name:
        directory = Path(name)
        if user is not None:
            owner = pwd.getpwnam(user)
            os.chown(directory, owner.pw_uid, owner.pw_gid)
            directory.chmod(0o755)
        server = PostgresServer(directory, programs, user)
        try:
            server.create()
            server.start()
            server.execute(f"CREATE ROLE {_ROLE} LOGIN NOSUPERUSER")
            yield server
        finally:
            server.stop(signal.SIGQUIT)  # nothing of it is kept, so nothing need be written


def _unprivileged_user() -> str | None:
    """Whom to run as; None to stay who we are."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return _SUPERUSER if _SUPERUSER in known else "nobody"


@contextmanager
def postgres_or_skip() -> Iterator[PostgresServer]:
    """For fixtures: a cluster; without the programs the test skips, but fails under CI."""
    try:
        postgres_programs()
    except PostgresMissing as missing:
        if os.environ.get("CI") == "true":
            raise
        import pytest

        pytest.skip(str(missing))
    with postgres_server() as server:
        yield server
