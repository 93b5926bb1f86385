"""The real edge as a process: found or built, started on free ports, stopped at the end."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from odeon_testkit import wire
from odeon_testkit.wait import until

_START_S = 10.0
_ROOT = Path(__file__).resolve().parents[3]


@cache
def edge_program() -> str:
    """The edge's program: ODEON_EDGE_PROGRAM, or this tree's, built now into the user's cache.

    What `odeon up` would take (`odeon_cli.up.plan.edge_program`) may be older than the tree.
    """
    if given := os.environ.get("ODEON_EDGE_PROGRAM"):
        return given
    target = os.environ.get("CARGO_TARGET_DIR") or str(Path.home() / ".cache" / "odeon" / "target")
    build = ["cargo", "build", "--locked", "-q", "-p", "odeon-edge"]
    subprocess.run(build, cwd=_ROOT, env={**os.environ, "CARGO_TARGET_DIR": target}, check=True)
    return str(Path(target) / "debug" / "odeon-edge")


@dataclass(slots=True)
class Edge:
    """A running edge."""

    process: asyncio.subprocess.Process
    ready: dict[str, Any]
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Base URL of the first public address."""
        scheme = str(self.ready["public_url"]).partition("://")[0]
        return f"{scheme}://{self.ready['listen'][0]}"

    @property
    def admin(self) -> str:
        """Private base URL."""
        return str(self.ready["admin"])

    async def ask(self, path: str, **options: Any) -> wire.Answer:
        """One public request, as raw as the test wants it."""
        return await wire.ask(self.url, path, **options)

    async def admin_get(self, path: str) -> wire.Answer:
        """Read something of the private listener."""
        return await wire.ask(self.admin, path)

    async def stats(self) -> dict[str, Any]:
        """The private figures."""
        answer = await self.admin_get("/stats")
        stats: dict[str, Any] = json.loads(answer.body)
        return stats

    async def admin_post(self, path: str, order: Mapping[str, object]) -> wire.Answer:
        """Order something of the private listener."""
        body = json.dumps(order).encode()
        reader, writer = await wire.connect(self.admin)
        try:
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            writer.write(wire.request(path, method="POST", headers=headers) + body)
            return await wire.read_answer(reader)
        finally:
            writer.close()

    async def until_ready(self, *, ready: bool = True) -> None:
        """Return when readiness is as wanted."""

        async def as_wanted() -> bool:
            return ((await self.admin_get("/readyz")).status == 200) == ready

        await until(as_wanted)

    async def until_logged(self, event: str, *, count: int = 1) -> None:
        """Return when an event was logged so often."""

        async def logged() -> bool:
            return len([line for line in self.log if line.get("event") == event]) >= count

        await until(logged)

    async def until_connections(self, count: int) -> None:
        """Return when exactly so many public connections are open."""

        async def counted() -> bool:
            return bool((await self.stats())["load"]["connections"] == count)

        await until(counted)

    async def until_joined(self, count: int) -> None:
        """Return when so many requests joined a fetch of another."""

        async def joined() -> bool:
            return bool((await self.stats())["cache"]["joined"] >= count)

        await until(joined)

    async def until_answered(self, path: str, status: int, *, timeout_s: float = 10.0) -> None:
        """Return when a path is answered with a status."""

        async def answered() -> bool:
            return (await self.ask(path)).status == status

        await until(answered, timeout_s=timeout_s)

    def reload(self) -> None:
        """Have certificates and keys read again at once."""
        self.signal(signal.SIGHUP)

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send the process a signal."""
        self.process.send_signal(number)

    async def exit_status(self, *, timeout_s: float) -> int:
        """Its exit status, once it ended by itself."""
        return await asyncio.wait_for(self.process.wait(), timeout_s)


async def _read_log(stream: asyncio.StreamReader, log: list[dict[str, Any]]) -> None:
    async for line in stream:
        try:
            log.append(json.loads(line))
        except ValueError:
            log.append({"event": "unparsed", "text": line.decode(errors="replace")})


@asynccontextmanager
async def running_edge(**settings: str) -> AsyncIterator[Edge]:
    """An edge on free loopback ports; `settings` are variables without their ODEON_EDGE_ prefix.

    A setting whose name starts with ODEON_ is taken as it is.
    """
    quick = {"LISTEN": "127.0.0.1:0", "ADMIN_LISTEN": "127.0.0.1:0", "DRAIN_NOTICE_S": "0"}
    chosen = {**quick, **settings}
    named = {k if k.startswith("ODEON_") else f"ODEON_EDGE_{k}": v for k, v in chosen.items()}
    clean = {k: v for k, v in os.environ.items() if not k.startswith("ODEON_")}
    process = await asyncio.create_subprocess_exec(
        edge_program(),
        env={**clean, **named},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    log: list[dict[str, Any]] = []
    reading = asyncio.create_task(_read_log(process.stderr, log), name="edge-log")
    try:
        line = await asyncio.wait_for(process.stdout.readline(), _START_S)
        if not line:
            await reading
            raise RuntimeError(f"the edge did not start: {log}")
        yield Edge(process, json.loads(line), log)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await reading


StartEdge = Callable[..., AbstractAsyncContextManager[Edge]]
"""Starts an edge with settings of the test's own."""
Ticket = Callable[..., str]
"""Makes the path of a file of an event, with a playback token in it."""
