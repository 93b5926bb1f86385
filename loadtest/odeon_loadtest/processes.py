"""Programs that a scenario starts on loopback, waits for and ends again."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from odeon_cli.console import CliError
from odeon_testkit.chromium import ChromiumMissing, chromium_program

_STOP_S = 5.0


class Missing(CliError):
    """A program that the scenario compares with is not installed; says how to get it."""


def need_chromium() -> None:
    """Raises Missing when there is no browser, before anything else is started."""
    try:
        chromium_program()
    except ChromiumMissing as missing:
        raise Missing(str(missing)) from missing


def free_port() -> int:
    """A TCP port on loopback that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


async def wait_for_port(port: int, *, host: str = "127.0.0.1", limit_s: float = 15.0) -> None:
    """Return when something accepts connections; raises TimeoutError when nothing does."""
    async with asyncio.timeout(limit_s):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(host, port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(
    command: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a program with its output in a file; it is ended with SIGTERM, then SIGKILL."""
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=output, stderr=output, env=env, stdin=asyncio.subprocess.DEVNULL
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), _STOP_S)
            except TimeoutError:
                process.kill()
                await process.wait()
