"""CPU per request of our edge beside its peers: HAProxy + Varnish, and nginx serving files.

All get the same requests over TLS and HTTP/2 from h2load, in alternating rounds of one run, and
the CPU time of their processes is compared. The pair checks the same tokens and caches the same
way; nginx does neither and is the floor.
"""

import asyncio
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from joserfc.jwk import ECKey
from odeon_cli.up.plan import edge_program
from odeon_runtime.tokens import Audience, Claims, sign
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from odeon_loadtest.certificates import self_signed
from odeon_loadtest.cpu import tree_cpu_seconds
from odeon_loadtest.processes import (
    Missing,
    free_port,
    running,
    wait_for_port,
)
from odeon_loadtest.report import Bar, Report

PLAYLIST = "acme/ev1/v720/index.m3u8"
PART = "acme/ev1/v720/p1.0.m4s"
_CLIENTS = ["-c", "16", "-m", "4", "-t", "1"]
_PLAIN = {"nginx"}


class Unanswered(Exception):
    """A server did not answer every request with 200."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much load a round is: requests of 2 KB and of 200 KB, and rounds."""

    small: int
    large: int
    rounds: int


FULL = Size(small=60_000, large=6_000, rounds=5)
QUICK = Size(small=15_000, large=1_500, rounds=3)


@dataclass(frozen=True, slots=True)
class Target:
    """A server under load."""

    name: str
    port: int
    pids: tuple[int, ...]


def _program(name: str, package: str) -> str:
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/bin")
    if path is None:
        raise Missing(f"{name} is needed for the comparison. Debian: apt install {package}")
    return path


def playback_token(key: ECKey) -> str:
    """A token for the event under load, good for an hour."""
    now = int(time.time())
    return sign(
        Claims(
            audience=Audience.PLAYBACK,
            subject="load",
            role="viewer",
            issued_at=now,
            expires_at=now + 3600,
            tenant="acme",
            event="ev1",
            session_id="load",
        ),
        key,
    )


def _template(name: str, **values: object) -> str:
    text = resources.files("odeon_loadtest.peers").joinpath(name).read_text()
    for key, value in values.items():
        text = text.replace("{" + key + "}", str(value))
    return text


@asynccontextmanager
async def _origin(folder: Path) -> AsyncIterator[int]:
    """A small HTTP origin with one playlist and one part, outside of what is measured."""
    for path, size in ((PLAYLIST, 2048), (PART, 200 * 1024)):
        file = folder / "www" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(size))
    port = free_port()
    command = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    command += ["--directory", str(folder / "www"), "--protocol", "HTTP/1.1"]
    async with running(command, log=folder / "origin.log"):
        await wait_for_port(port)
        yield port


@asynccontextmanager
async def _ours(folder: Path, key: ECKey, origin: int) -> AsyncIterator[Target]:
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
    port = free_port()
    env = {
        **os.environ,
        "ODEON_EDGE_ORIGIN": f"http://127.0.0.1:{origin}",
        "ODEON_EDGE_JWKS": str(jwks),
        "ODEON_EDGE_LISTEN": f"127.0.0.1:{port}",
        "ODEON_EDGE_DRAIN_NOTICE_S": "0",
        "ODEON_EDGE_TLS_CERT": str(folder / "tls.pem"),
        "ODEON_EDGE_TLS_KEY": str(folder / "tls.pem"),
        "ODEON_EDGE_VIEWER_RATE": "10000000",
        "ODEON_EDGE_VIEWER_CONCURRENCY": "100000",
        "ODEON_EDGE_SOURCE_RATE": "10000000",
        "ODEON_EDGE_SOURCE_CONNECTIONS": "100000",
    }
    async with running([edge_program()], log=folder / "edge.log", env=env) as process:
        await wait_for_port(port)
        yield Target("edge", port, (process.pid,))


@asynccontextmanager
async def _pair(folder: Path, key: ECKey, origin: int) -> AsyncIterator[Target]:
    port, socket = free_port(), folder / "varnish.sock"
    (folder / "jwt.pub").write_bytes(key.as_pem(private=False))
    (folder / "revoked.lst").write_text("")
    (folder / "cache.vcl").write_text(_template("cache.vcl", origin_port=origin))
    config = _template(
        "haproxy.cfg",
        port=port,
        certificate=folder / "tls.pem",
        public_key=folder / "jwt.pub",
        revoked=folder / "revoked.lst",
        cache_socket=socket,
    )
    (folder / "haproxy.cfg").write_text(config)
    varnish = [_program("varnishd", "varnish"), "-F", "-n", str(folder / "varnish")]
    varnish += ["-f", str(folder / "cache.vcl"), "-a", f"{socket},HTTP", "-s", "malloc,256m"]
    haproxy = [_program("haproxy", "haproxy"), "-db", "-f", str(folder / "haproxy.cfg")]
    async with (
        running(varnish, log=folder / "varnish.log") as cache,
        running(haproxy, log=folder / "haproxy.log") as front,
    ):
        await wait_for_port(port)
        yield Target("haproxy_varnish", port, (cache.pid, front.pid))


@asynccontextmanager
async def _nginx(folder: Path) -> AsyncIterator[Target]:
    port = free_port()
    config = _template("nginx.conf", port=port, run=folder, certificate=folder / "tls.pem")
    (folder / "nginx.conf").write_text(config)
    command = [_program("nginx", "nginx-light"), "-c", str(folder / "nginx.conf")]
    async with running(command, log=folder / "nginx.log") as process:
        await wait_for_port(port)
        yield Target("nginx", port, (process.pid,))


def _prepared(folder: Path) -> Path:
    folder.chmod(0o755)  # varnishd gives up root and must still read
    (folder / "tls.pem").write_bytes(self_signed("127.0.0.1"))
    return folder


async def _load(target: Target, path: str, requests: int, token: str) -> float:
    """CPU microseconds per request; raises when a request failed."""
    prefix = "" if target.name in _PLAIN else f"t/{token}/"
    url = f"https://127.0.0.1:{target.port}/{prefix}{path}"
    before = sum(tree_cpu_seconds(pid) for pid in target.pids)
    process = await asyncio.create_subprocess_exec(
        _program("h2load", "nghttp2-client"),
        *["-n", str(requests), *_CLIENTS, url],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(120):
        output = (await process.communicate())[0].decode()
    if f"status codes: {requests} 2xx" not in output:
        raise Unanswered(f"{target.name} did not answer every request:\n{output[-800:]}")
    used = sum(tree_cpu_seconds(pid) for pid in target.pids) - before
    return used / requests * 1e6


async def _warm(target: Target, path: str, requests: int, token: str) -> None:
    """Fill caches and remember the token; a server may still be starting (varnishd compiles)."""
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Unanswered), wait=wait_fixed(0.2), stop=stop_after_delay(20)
    )
    async for attempt in retrying:
        with attempt:
            await _load(target, path, requests, token)


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    size = QUICK if quick else FULL
    report = Report("edge", quick=quick)
    key = ECKey.generate_key("P-256", {"kid": "load"})
    token = playback_token(key)
    with tempfile.TemporaryDirectory(prefix="odeon-edge-") as name:
        folder = _prepared(Path(name))
        async with AsyncExitStack() as stack:
            origin = await stack.enter_async_context(_origin(folder))
            targets = [
                await stack.enter_async_context(_ours(folder, key, origin)),
                await stack.enter_async_context(_pair(folder, key, origin)),
                await stack.enter_async_context(_nginx(folder)),
            ]
            await _compare(report, targets, token, size)
    return report


async def _compare(report: Report, targets: list[Target], token: str, size: Size) -> None:
    bars = {"2kb": (1 / 3, 1.2), "200kb": (1 / 2, 1.0)}
    for label, path, requests in (("2kb", PLAYLIST, size.small), ("200kb", PART, size.large)):
        costs: dict[str, list[float]] = {t.name: [] for t in targets}
        for target in targets:
            await _warm(target, path, requests // 10, token)
        for _ in range(size.rounds):
            for target in targets:
                costs[target.name].append(await _load(target, path, requests, token))
        for name, values in costs.items():
            report.add(f"{name}_{label}_cpu", statistics.median(values), "us")
        for peer, limit in zip(("haproxy_varnish", "nginx"), bars[label], strict=True):
            rounds = zip(costs["edge"], costs[peer], strict=True)
            ratio = statistics.median(ours / theirs for ours, theirs in rounds)
            report.add(f"edge_{label}_ratio_{peer}", ratio, "ratio", Bar("<=", limit))
