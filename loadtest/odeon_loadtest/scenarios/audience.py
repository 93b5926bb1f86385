"""Blocking viewers through one edge, and the same viewers on the origin directly, in one run.

A real recorder gets a part every third of a second; 300 viewers block on each next one. Judged is
how much later they have it through the edge than without, and that the edge asked the origin once.
"""

import asyncio
import base64
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import grpc
import httpx
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon_cli.up.plan import edge_program
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server

from odeon_loadtest.processes import free_port, running, wait_for_port
from odeon_loadtest.report import Bar, Report, percentile
from odeon_loadtest.viewers import PARTS_PER_SEGMENT, Plan

VIEWERS = 300
TRACK = "v720"
_PART_S = 1 / 3
_PART_BYTES = 20 * 1024
_MAX_ADDED_MS = 5.0


@dataclass(frozen=True, slots=True)
class Size:
    """Segments per window, and how many windows of each kind."""

    segments: int
    rounds: int


FULL = Size(segments=6, rounds=3)
QUICK = Size(segments=3, rounds=1)


@dataclass(slots=True)
class Feeder:
    """Writes parts into the recorder in real time and notes when each was offered."""

    ingest: str
    token: str
    epoch: int
    offered: dict[str, float] = field(default_factory=dict)
    next_msn: int = 0

    async def run(self) -> None:
        """Feed for ever."""
        loop = asyncio.get_running_loop()
        async with httpx.AsyncClient(base_url=self.ingest) as http:
            await self._put(http, "init", os.urandom(800), {})
            due = loop.time()
            while True:
                for part in range(PARTS_PER_SEGMENT):
                    due += _PART_S
                    await asyncio.sleep(due - loop.time())
                    name = f"{self.next_msn}/{part}"
                    last = part == PARTS_PER_SEGMENT - 1
                    headers = {"Odeon-Duration": f"{_PART_S:.6f}", "Odeon-Independent": "?1"}
                    headers |= {"Odeon-Last": "?1"} if last else {}
                    # Not the acknowledgement: the origin answers waiting viewers before it.
                    self.offered[name.replace("/", ".")] = time.monotonic()
                    await self._put(http, name, os.urandom(_PART_BYTES), headers)
                self.next_msn += 1

    async def _put(
        self, http: httpx.AsyncClient, name: str, body: bytes, headers: dict[str, str]
    ) -> None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        answer = await http.put(
            f"/ingest/acme/ev1/{TRACK}/{name}",
            content=body,
            headers={
                "Authorization": f"Bearer {self.token}",
                "Odeon-Epoch": str(self.epoch),
                "Content-Digest": f"sha-256=:{digest}:",
                **headers,
            },
        )
        answer.raise_for_status()


@asynccontextmanager
async def _recorder(folder: Path, auth: str) -> AsyncIterator[tuple[str, int]]:
    """A recorder process; yields its gRPC address and its HTTP port."""
    grpc_port, http_port = free_port(), free_port()
    env = {
        **os.environ,
        "ODEON_RECORDER_GRPC_PORT": str(grpc_port),
        "ODEON_RECORDER_HTTP_PORT": str(http_port),
        "ODEON_DATA_DIR": str(folder / "data"),
        "ODEON_AUTH_ADDRESS": auth,
        "ODEON_SERVICE_SECRET": SERVICE_SECRET,
    }
    command = [sys.executable, "-m", "odeon_recorder"]
    async with running(command, log=folder / "recorder.log", env=env):
        await wait_for_port(http_port, limit_s=30)
        await wait_for_port(grpc_port, limit_s=30)
        yield f"127.0.0.1:{grpc_port}", http_port


@asynccontextmanager
async def _edge(folder: Path, issuer: Issuer, origin: int) -> AsyncIterator[tuple[int, int]]:
    """An edge process; yields its public and its private port."""
    (folder / "jwks.json").write_text(issuer.jwks_json)
    public, private = free_port(), free_port()
    env = {
        **os.environ,
        "ODEON_EDGE_ORIGIN": f"http://127.0.0.1:{origin}",
        "ODEON_EDGE_JWKS": str(folder / "jwks.json"),
        "ODEON_EDGE_LISTEN": f"127.0.0.1:{public}",
        "ODEON_EDGE_ADMIN_LISTEN": f"127.0.0.1:{private}",
    }
    async with running([edge_program()], log=folder / "edge.log", env=env):
        await wait_for_port(public)
        yield public, private


async def _acquire(address: str, token: str) -> int:
    spec = recorder_pb2.TrackSpec(
        track=TRACK,
        kind=recorder_pb2.TrackSpec.KIND_VIDEO,
        codec="avc1.64001f",
        bandwidth_bps=500_000,
        width_px=1280,
        height_px=720,
        frame_rate=30,
        part_target_s=0.334,
        segment_target_s=2,
    )
    request = recorder_pb2.AcquireTimelineRequest(
        tenant_id="acme", event="events/ev1", owner="loadtest", tracks=[spec]
    )
    async with grpc.aio.insecure_channel(address) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        answer = await stub.AcquireTimeline(
            request, metadata=metadata, timeout=20, wait_for_ready=True
        )
    return answer.epoch


@dataclass(frozen=True, slots=True)
class Window:
    """What one window of viewers saw, in milliseconds after the part was offered."""

    delays_ms: list[float]
    failed: dict[str, int]
    states: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """Viewers and where they ask."""

    port: int
    prefixes: list[str]
    fetch_parts: bool


async def _window(folder: Path, feeder: Feeder, crowd: Crowd, segments: int) -> Window:
    first = feeder.next_msn + 1
    plan = Plan(
        host="127.0.0.1",
        port=crowd.port,
        prefixes=crowd.prefixes,
        track=TRACK,
        first_msn=first,
        last_msn=first + segments - 1,
        fetch_parts=crowd.fetch_parts,
    )
    file = folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)))
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "odeon_loadtest.viewers", str(file)], stdout=asyncio.subprocess.PIPE
    )
    seen = json.loads((await process.communicate())[0])
    arrived = seen["part" if crowd.fetch_parts else "playlist"]
    delays = [
        (arrival - feeder.offered[name]) * 1000
        for name, arrivals in arrived.items()
        for arrival in arrivals
    ]
    return Window(delays, seen["failed"], len(arrived))


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    size = QUICK if quick else FULL
    report = Report("audience", quick=quick)
    issuer = Issuer()
    with tempfile.TemporaryDirectory(prefix="odeon-audience-") as name:
        folder = Path(name)
        async with AsyncExitStack() as stack:
            auth, _ = await stack.enter_async_context(auth_server(issuer))
            grpc_address, origin = await stack.enter_async_context(_recorder(folder, auth))
            edge, private = await stack.enter_async_context(_edge(folder, issuer, origin))
            token = issuer.service_token("transcoder")
            epoch = await _acquire(grpc_address, token)
            feeder = Feeder(f"http://127.0.0.1:{origin}", token, epoch)
            feeding = asyncio.create_task(feeder.run(), name="feeder")
            stack.callback(feeding.cancel)
            await _measure(report, folder, feeder, Ports(origin, edge, private), issuer, size)
    return report


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the origin, the edge and the edge's private face listen."""

    origin: int
    edge: int
    private: int


async def _measure(
    report: Report, folder: Path, feeder: Feeder, ports: Ports, issuer: Issuer, size: Size
) -> None:
    tokens = [
        issuer.token(Audience.PLAYBACK, event="ev1", session_id=f"v{n}", role="viewer")
        for n in range(VIEWERS)
    ]
    direct, through = ["/acme/ev1"] * VIEWERS, [f"/t/{token}/acme/ev1" for token in tokens]
    for fetch_parts in (False, True):
        windows: dict[str, list[Window]] = {"origin": [], "edge": []}
        fetched = 0
        for _ in range(size.rounds):
            crowd = Crowd(ports.origin, direct, fetch_parts)
            windows["origin"].append(await _window(folder, feeder, crowd, size.segments))
            before = await _origin_fetches(ports.private)
            crowd = Crowd(ports.edge, through, fetch_parts)
            windows["edge"].append(await _window(folder, feeder, crowd, size.segments))
            fetched += await _origin_fetches(ports.private) - before
        _judge(report, "part" if fetch_parts else "playlist", windows, fetched)
    report.notes.append(f"{VIEWERS} viewers, {_PART_BYTES // 1024} KB parts, plain HTTP/1.1")


async def _origin_fetches(private: int) -> int:
    async with httpx.AsyncClient() as http:
        stats = (await http.get(f"http://127.0.0.1:{private}/stats")).json()
    return int(stats["cache"]["fetched"])


def _judge(report: Report, what: str, windows: dict[str, list[Window]], fetched: int) -> None:
    """Delays until a viewer has the playlist alone, or the playlist and then the part."""
    p99: dict[str, float] = {}
    for name, found in windows.items():
        delays = [ms for window in found for ms in window.delays_ms]
        p99[name] = percentile(delays, 0.99)
        report.add(f"{name}_{what}_delay_p50", percentile(delays, 0.5), "ms")
        report.add(f"{name}_{what}_delay_p99", p99[name], "ms")
    added = p99["edge"] - p99["origin"]
    report.add(f"edge_{what}_added_p99", added, "ms", Bar("<=", _MAX_ADDED_MS))
    states = sum(window.states for window in windows["edge"]) * (2 if what == "part" else 1)
    per_state = fetched / states if states else float("nan")
    report.add(f"origin_fetches_per_{what}", per_state, "ratio", Bar("<=", 1.0))
    failed = [window.failed for found in windows.values() for window in found if window.failed]
    failures = sum(sum(f.values()) for f in failed)
    report.add(f"failed_{what}_requests", failures, "count", Bar("==", 0))
    if failed:
        report.notes.append(f"failed requests by status: {failed}")
