"""Nodes that run no container: what a scheduler and a kubelet do to pods, and podsim told of them.

The API server cannot tell the difference: pods are bound, say Running and Ready, and vanish when
they are deleted; nodes keep saying that they live, or the node controller would evict all of it.
"""

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any

import aiohttp
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.wait import until

Object = dict[str, Any]
AGENT = "odeon-kubelets"
"""How these calls are told from others in the audit log."""
_NODES = 4
_AT_ONCE = 24
_HEARTBEAT_S = 8.0
_RETRY_S = 0.5
_POOL_LABEL = "odeon.live/pool"
_MERGE = {"Content-Type": "application/merge-patch+json"}


class PodSim:
    """`python -m odeon_loadtest.podsim` as a process: it runs the agents of all pods."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.figures: Mapping[str, int] = {"pods": 0, "killed": 0, "deleted": 0, "begun": 0}

    def tell(self, do: str, **what: object) -> None:
        """One line of its input."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **what}).encode() + b"\n")

    async def follow(self) -> None:
        """Hear its figures, for ever; ends with an error when it dies."""
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self.figures = json.loads(line)
        raise RuntimeError("podsim ended")


@asynccontextmanager
async def podsim(nats_url: str, *, session_s: float) -> AsyncIterator[PodSim]:
    """A running podsim without pods."""
    command = ("-m", "odeon_loadtest.podsim", "--nats", nats_url, "--session-s", str(session_s))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdin=pipe, stdout=pipe
    )
    try:
        async with EternalTasks() as tasks:
            made = PodSim(process)
            tasks.spawn("podsim-figures", made.follow())
            yield made
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


class Kubelets:
    """Runs the pods of all pools.

    Attributes:
        running: uid → name of pods that podsim was told of.
    """

    def __init__(self, session: aiohttp.ClientSession, sim: PodSim, slots: int) -> None:
        self._session = session
        self._sim = sim
        self._slots = slots
        self._free = asyncio.Semaphore(_AT_ONCE)
        self._handled: dict[str, str] = {}
        self.running: dict[str, str] = {}

    async def until(self, holds: Callable[[], bool], *, timeout_s: float) -> None:
        """Wait until something holds, e.g. of what runs."""

        async def asked() -> bool:
            return holds()

        await until(asked, timeout_s=timeout_s)

    async def grown(self, count: int) -> None:
        """Wait until so many pods run, or more."""
        await self.until(lambda: len(self.running) >= count, timeout_s=60)

    async def beat(self) -> None:
        """Nodes say that they live, for ever."""
        while True:
            for number in range(_NODES):
                await self._beat(f"sim-{number}")
            await asyncio.sleep(_HEARTBEAT_S)

    async def run(self) -> None:
        """Look after pods, for ever."""
        async with asyncio.TaskGroup() as group:
            while True:
                with suppress(aiohttp.ClientError, TimeoutError):
                    await self._watch(group)
                await asyncio.sleep(_RETRY_S)

    async def _watch(self, group: asyncio.TaskGroup) -> None:
        path = f"/api/v1/pods?labelSelector={_POOL_LABEL}"
        listed = await self._call("GET", path)
        alive = {raw["metadata"]["uid"] for raw in listed["items"]}
        for uid in self.running.keys() - alive:
            self._gone(uid)
        for raw in listed["items"]:
            self._see(group, raw)
        since = listed["metadata"]["resourceVersion"]
        limit = aiohttp.ClientTimeout(total=None, sock_read=300)
        async with self._session.get(
            f"{path}&watch=1&resourceVersion={since}", timeout=limit
        ) as stream:
            async for line in stream.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    self._gone(event["object"]["metadata"]["uid"])
                else:
                    self._see(group, event["object"])

    def _see(self, group: asyncio.TaskGroup, raw: Object) -> None:
        meta = raw["metadata"]
        what = "remove" if "deletionTimestamp" in meta else "begin"
        if self._handled.get(meta["uid"]) in (what, "remove"):
            return
        self._handled[meta["uid"]] = what
        group.create_task(self._remove(raw) if what == "remove" else self._begin(raw))

    def _gone(self, uid: str) -> None:
        self._handled.pop(uid, None)
        if self.running.pop(uid, None) is not None:
            self._sim.tell("remove", uid=uid)

    async def _begin(self, raw: Object) -> None:
        meta = raw["metadata"]
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        node = {"apiVersion": "v1", "kind": "Node", "name": f"sim-{hash(meta['uid']) % _NODES}"}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}}
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        async with self._free:
            if not raw["spec"].get("nodeName"):
                await self._call("POST", f"{path}/binding", {**body, "target": node})
            await self._call("PATCH", f"{path}/status", {"status": status})
        if self._handled.get(meta["uid"]) == "begin":
            self.running[meta["uid"]] = meta["name"]
            pool = meta["labels"][_POOL_LABEL]
            who = {"pool": pool, "pod": meta["name"], "uid": meta["uid"]}
            self._sim.tell("add", slots=self._slots, **who)

    async def _remove(self, raw: Object) -> None:
        meta = raw["metadata"]
        if self.running.pop(meta["uid"], None) is not None:
            self._sim.tell("remove", uid=meta["uid"])
        path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        async with self._free:
            await self._call("DELETE", path, options)

    async def _beat(self, name: str) -> None:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "reason": "Sim"}
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        told = await self._call(
            "PATCH", f"/api/v1/nodes/{name}/status", {"status": {"conditions": [ready]}}
        )
        if told.get("code") == 404:
            await self._call("POST", "/api/v1/nodes", node)

    async def _call(self, method: str, path: str, body: Object | None = None) -> Object:
        """One request. A refusal (a pod that is gone meanwhile) is the caller's to read."""
        headers = _MERGE if method == "PATCH" else {}
        async with self._session.request(method, path, json=body, headers=headers) as answer:
            found: Object = await answer.json()
            return found


@asynccontextmanager
async def kubelets(plane: ControlPlane, sim: PodSim, *, slots: int) -> AsyncIterator[Kubelets]:
    """Pods run as long as this is open; afterwards what runs is as it was left."""
    trusted = ssl.create_default_context(cafile=str(plane.ca_file))
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                plane.url,
                connector=aiohttp.TCPConnector(ssl=trusted, limit=2 * _AT_ONCE),
                headers={"Authorization": f"Bearer {plane.token}", "User-Agent": AGENT},
            )
        )
        made = Kubelets(session, sim, slots)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("nodes", made.beat())
        tasks.spawn("kubelets", made.run())
        yield made
