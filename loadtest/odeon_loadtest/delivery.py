"""What carries an event to its audience, without an encoder: recorder, edge, NATS and analytics.

All are the real processes; a feeder writes parts of random bytes into the recorder in real time.
"""

import asyncio
import base64
import hashlib
import os
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon_cli.up.plan import edge_program
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.nats import nats_server

from odeon_loadtest.processes import free_port, running, wait_for_port
from odeon_loadtest.viewers import PARTS_PER_SEGMENT

TENANT, EVENT, TRACK = "acme", "ev1", "v720"
PART_BYTES = 20 * 1024
_PART_S = 1 / 3
_START_S = 30.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Where the parts of a running delivery listen, by port or by gRPC address."""

    origin: int
    origin_metrics: int
    edge: int
    analytics: str
    feeder: "Feeder"


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
                    await self._put(http, name, os.urandom(PART_BYTES), headers)
                self.next_msn += 1

    async def _put(
        self, http: httpx.AsyncClient, name: str, body: bytes, headers: dict[str, str]
    ) -> None:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        answer = await http.put(
            f"/ingest/{TENANT}/{EVENT}/{TRACK}/{name}",
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
async def delivery(folder: Path, issuer: Issuer) -> AsyncIterator[Delivery]:
    """Everything started and being fed; `folder` takes data and logs."""
    async with AsyncExitStack() as stack:
        nats = stack.enter_context(nats_server())
        auth, _ = await stack.enter_async_context(auth_server(issuer))
        shared = {
            "ODEON_NATS_URL": nats.url,
            "ODEON_AUTH_ADDRESS": auth,
            "ODEON_SERVICE_SECRET": SERVICE_SECRET,
            "ODEON_DATA_DIR": str(folder / "data"),
        }
        http, metrics = free_port(), free_port()
        more = {"ODEON_RECORDER_HTTP_PORT": http, "ODEON_RECORDER_METRICS_PORT": metrics}
        recorder = await stack.enter_async_context(_service("recorder", folder, shared, more))
        await wait_for_port(http, limit_s=_START_S)
        analytics = await stack.enter_async_context(_service("analytics", folder, shared, {}))
        edge = await stack.enter_async_context(_edge(folder, issuer, http, nats.url))
        token = issuer.service_token("transcoder")
        feeder = Feeder(f"http://127.0.0.1:{http}", token, await _acquire(recorder, token))
        feeding = asyncio.create_task(feeder.run(), name="feeder")
        stack.callback(feeding.cancel)
        yield Delivery(http, metrics, edge, analytics, feeder)


@asynccontextmanager
async def _service(
    name: str, folder: Path, shared: Mapping[str, str], more: Mapping[str, int]
) -> AsyncIterator[str]:
    """A Python service; yields its gRPC address."""
    port = free_port()
    own = {f"ODEON_{name.upper()}_GRPC_PORT": port, **more}
    env = {**os.environ, **shared, **{key: str(value) for key, value in own.items()}}
    command = [sys.executable, "-m", f"odeon_{name}"]
    async with running(command, log=folder / f"{name}.log", env=env):
        await wait_for_port(port, limit_s=_START_S)
        yield f"127.0.0.1:{port}"


@asynccontextmanager
async def _edge(folder: Path, issuer: Issuer, origin: int, nats: str) -> AsyncIterator[int]:
    """An edge that reports its load over NATS; yields its public port."""
    (folder / "jwks.json").write_text(issuer.jwks_json)
    public = free_port()
    env = {
        **os.environ,
        "ODEON_EDGE_ORIGIN": f"http://127.0.0.1:{origin}",
        "ODEON_EDGE_JWKS": str(folder / "jwks.json"),
        "ODEON_EDGE_LISTEN": f"127.0.0.1:{public}",
        "ODEON_EDGE_DRAIN_NOTICE_S": "0",
        "ODEON_EDGE_NATS": nats,
    }
    async with running([edge_program()], log=folder / "edge.log", env=env):
        await wait_for_port(public)
        yield public


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
        tenant_id=TENANT, event=f"events/{EVENT}", owner="loadtest", tracks=[spec]
    )
    async with grpc.aio.insecure_channel(address) as channel:
        stub = recorder_pb2_grpc.RecorderServiceStub(channel)
        metadata = (("authorization", f"Bearer {token}"),)
        answer = await stub.AcquireTimeline(
            request, metadata=metadata, timeout=20, wait_for_ready=True
        )
    return answer.epoch
