"""The whole product as a newcomer gets it: `odeon up --json`, for tests and load scenarios."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from odeon_testkit.process_tree import family

_START_S = 90.0
_STOP_S = 30.0


class ProductFailed(RuntimeError):
    """`odeon up` ended or took too long; carries the ends of all logs."""


@dataclass(frozen=True, slots=True)
class Product:
    """A running deployment.

    Attributes:
        ready: the ready line of `odeon up --json`: gateway, edge, grpc, api_key, event, …
        data_dir: where it keeps its data and its logs.
        process: the supervisor.
    """

    ready: dict[str, Any]
    data_dir: Path
    process: asyncio.subprocess.Process = field(repr=False)

    def __getitem__(self, name: str) -> str:
        """A value of the ready line."""
        return str(self.ready[name])

    def logs(self, lines: int = 30) -> str:
        """The ends of all logs, for a failed test."""
        return log_ends(self.data_dir, lines)

    def address(self, service: str, face: str) -> str:
        """Private host:port of a Python service, e.g. the "http" of the "recorder".

        Raises:
            LookupError: it never said that it is ready, or has no such face.
        """
        for line in reversed((self.data_dir / "logs" / f"{service}.log").read_text().splitlines()):
            if line.startswith('{"event": "ready"'):
                return str(json.loads(line)[face])
        raise LookupError(f"no ready line of {service}")

    def process_of(self, words: str) -> int:
        """Id of the first of its processes whose command line has `words`; raises LookupError."""
        for process in family(self.process.pid):
            if words in process.command and process.pid != self.process.pid:
                return process.pid
        raise LookupError(f"no process {words!r} below odeon up")


def log_ends(data_dir: Path, lines: int = 30) -> str:
    """The last lines of every process's log."""
    ends = []
    for log in sorted((data_dir / "logs").glob("*.log")):
        text = log.read_text(errors="replace").splitlines()[-lines:]
        ends.append(f"--- {log.relative_to(data_dir)}\n" + "\n".join(text))
    return "\n".join(ends)


@asynccontextmanager
async def running_product(
    *flags: str, env: Mapping[str, str] | None = None, keep_in: Path | None = None
) -> AsyncIterator[Product]:
    """Start a deployment on free ports, wait until it is ready, stop it at the end.

    Its data is kept in `keep_in`, otherwise nothing is.

    Raises:
        ProductFailed: it did not become ready within 90 s.
    """
    # Short: Unix sockets and Chromium dislike long paths.
    data_dir = keep_in or Path(tempfile.mkdtemp(prefix="odeon-"))
    command = [sys.executable, "-m", "odeon_cli", "up", "--json", "--no-open"]
    command += ["--port-base", "0", "--data-dir", str(data_dir), *flags]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.DEVNULL,
        # A home of its own: `odeon watch` of a person must not find a test's deployment.
        env={**os.environ, "ODEON_HOME": str(data_dir / "home"), **(env or {})},
    )
    try:
        yield Product(await _ready(process, data_dir), data_dir, process)
    finally:
        await _stop(process)
        if keep_in is None:
            shutil.rmtree(data_dir, ignore_errors=True)


async def _ready(process: asyncio.subprocess.Process, data_dir: Path) -> dict[str, Any]:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            async for line in process.stdout:
                if line.startswith(b"{"):
                    ready: dict[str, Any] = json.loads(line)
                    return ready
    except TimeoutError as error:
        raise ProductFailed(f"not ready in {_START_S} s\n{log_ends(data_dir)}") from error
    raise ProductFailed(f"ended before it was ready\n{log_ends(data_dir)}")


async def _stop(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), _STOP_S)
    except TimeoutError:
        process.kill()
        await process.wait()
