"""The operator as a process, and pods that speak the real agent's protocol without a kubelet.

The API server and NATS are real; nodes are objects, and what a kubelet and a scheduler do to a
pool's pods is done here: bind, say Running, start an agent, and remove what was deleted.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from odeon_runtime.bus import Bus
from odeon_runtime.pool_agent import Load, Member, PoolAgent
from odeon_runtime.tasks import EternalTasks, end

from odeon_testkit.kube.api import KubeApi, Object, Refused
from odeon_testkit.kube.control_plane import ControlPlane

NODE = "odeon-sim"
_PAUSE_S = 0.1
_RUNNING = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
_CRASHING = {
    "phase": "Running",
    "conditions": [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
    "containerStatuses": [
        {
            "name": "main",
            "image": "odeon.invalid/sim",
            "imageID": "",
            "ready": False,
            "restartCount": 3,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        }
    ],
}
_STOP_S = 15.0


class OperatorProcess:
    """One operator. `kill` is SIGKILL; `start` may follow it."""

    def __init__(self, plane: ControlPlane, nats_url: str, directory: Path, **env: str) -> None:
        self.log = directory / f"{env.get('ODEON_OPERATOR_IDENTITY', 'operator')}.log"
        self._env = {
            **os.environ,
            "KUBECONFIG": str(plane.kubeconfig),
            "ODEON_NATS_URL": nats_url,
            "ODEON_DIE_WITH_PARENT": "1",
            **env,
        }
        self._process: subprocess.Popen[str] | None = None
        self.http = ""

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process is not None
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start it; returns when it says that it is ready, which a standby is at once."""
        self.kill()
        with self.log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "odeon_operator"],
                env=self._env,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the operator ended: {self.log.read_text()[-3000:]}")
        self.http = "http://" + json.loads(line)["http"]

    def kill(self) -> None:
        """It dies without a word."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """It is asked to end."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


@dataclass(slots=True)
class SimPod:
    """A running pod: its agent and the truth about its work."""

    name: str
    uid: str
    agent: PoolAgent
    sessions: int = 0
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    async def claim(self) -> bool:
        """Take a piece of work, if its agent lets it."""
        async with self.agent.claiming() as may:
            if may:
                self.sessions += 1
        self.agent.load_changed()
        return may

    def finish(self) -> None:
        """One piece of work ends."""
        self.sessions = max(0, self.sessions - 1)
        self.agent.load_changed()


class SimKubelet:
    """Runs the pods of one namespace.

    Attributes:
        running: by uid.
        killed: names of pods that were deleted with work in them.
    """

    def __init__(self, plane: ControlPlane, namespace: str, bus: Bus) -> None:
        self._api = plane.api()
        self._namespace = namespace
        self._bus = bus
        self._slots = 2
        self.running: dict[str, SimPod] = {}
        self.killed: list[str] = []
        self.seen: dict[str, str] = {}
        self.paused = False
        self.node = NODE
        """Where the next pods go."""
        self.bad_image = ""
        """Containers of it crash."""
        self.crashing: set[str] = set()

    async def run(self) -> None:
        """Look after all pods, for ever."""
        await asyncio.to_thread(make_node, self._api, NODE)
        try:
            while True:
                if not self.paused:
                    with suppress(Refused, httpx.HTTPError):
                        await self._look()
                await asyncio.sleep(_PAUSE_S)
        finally:
            for pod in self.running.values():
                await self._end(pod)
            self._api.close()

    async def _look(self) -> None:
        pods = await asyncio.to_thread(self.pods)
        alive = {p["metadata"]["uid"] for p in pods}
        for uid in self.running.keys() - alive:
            await self._gone(self.running.pop(uid))
        for raw in pods:
            meta = raw["metadata"]
            self.seen[meta["uid"]] = meta["name"]
            if "deletionTimestamp" in meta:
                if (pod := self.running.pop(meta["uid"], None)) is not None:
                    await self._gone(pod)
                await asyncio.to_thread(self._remove, meta["name"])
            elif meta["uid"] not in self.running and meta["uid"] not in self.crashing:
                await asyncio.to_thread(_bind, self._api, raw, self.node)
                await self._begin(raw)

    def pods(self) -> list[Object]:
        """The pods of the namespace, as the API server has them."""
        found = self._api.get(f"/api/v1/namespaces/{self._namespace}/pods")["items"]
        return [{"apiVersion": "v1", "kind": "Pod", **raw} for raw in found]

    async def _begin(self, raw: Object) -> None:
        meta = raw["metadata"]
        if raw["spec"]["containers"][0]["image"] == self.bad_image:
            self.crashing.add(meta["uid"])
            await asyncio.to_thread(_say, self._api, raw, _CRASHING)
            return
        await asyncio.to_thread(_say, self._api, raw, _RUNNING)
        member = Member(meta["labels"]["odeon.live/pool"], meta["name"], meta["uid"])
        agent = PoolAgent.on(self._bus, member, lambda: self._load(meta["uid"]))
        pod = SimPod(meta["name"], meta["uid"], agent)
        self.running[pod.uid] = pod
        agent.when_changed(lambda: self._hand_over(pod))
        pod.task = asyncio.create_task(agent.run(), name=f"agent-{pod.name}")

    def _hand_over(self, pod: SimPod) -> None:
        """Its work goes on in other pods, as with transcoders that room offers released jobs."""
        if not pod.agent.hands_over:
            return
        for other in self.running.values():
            while pod.sessions and not other.agent.closed and other.sessions < self._slots:
                pod.sessions, other.sessions = pod.sessions - 1, other.sessions + 1
                other.agent.load_changed()
        pod.agent.load_changed()

    def _load(self, uid: str) -> Load:
        pod = self.running.get(uid)
        busy = pod.sessions if pod is not None else 0
        return Load(sessions=busy, slots_used=float(busy), slots_total=float(self._slots))

    async def _gone(self, pod: SimPod) -> None:
        if pod.sessions:
            self.killed.append(pod.name)
        await self._end(pod)

    async def _end(self, pod: SimPod) -> None:
        if pod.task is not None:
            await end([pod.task])

    def _remove(self, name: str) -> None:
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0}
        path = f"/api/v1/namespaces/{self._namespace}/pods/{name}"
        with suppress(Refused):
            self._api.request("DELETE", path, body=body)


@asynccontextmanager
async def sim_kubelet(
    plane: ControlPlane, namespace: str, nats_url: str
) -> AsyncIterator[SimKubelet]:
    """Pods run as long as this is open."""
    async with Bus(nats_url, name="pods") as bus:
        await bus.connected.wait()
        kubelet = SimKubelet(plane, namespace, bus)
        async with EternalTasks() as tasks:
            tasks.spawn("sim-kubelet", kubelet.run())
            yield kubelet


def pool_manifest(name: str, namespace: str, **spec: object) -> Object:
    """A TranscoderPool with a template that no kubelet will ever run."""
    template = {"spec": {"containers": [{"name": "main", "image": "odeon.invalid/sim"}]}}
    return {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": "TranscoderPool",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"maxReplicas": 12, "slotsPerPod": 2, "template": template, **spec},
    }


def policy_manifest(name: str, namespace: str, **spec: object) -> Object:
    """A ScalingPolicy."""
    return {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": "ScalingPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": spec,
    }


def make_node(api: KubeApi, name: str) -> Object:
    """A node that is only an object."""
    if not api.exists(f"/api/v1/nodes/{name}"):
        with suppress(Refused):
            api.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
    found = api.get(f"/api/v1/nodes/{name}")
    return {"apiVersion": "v1", "kind": "Node", **found}


def _bind(api: KubeApi, raw: Mapping[str, Any], node: str) -> None:
    meta, spec = raw["metadata"], raw["spec"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}"
    if not spec.get("nodeName"):
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": meta["name"]}}
        api.request("POST", f"{path}/binding", body={**body, "target": target})


def _say(api: KubeApi, raw: Mapping[str, Any], status: Object) -> None:
    """What a kubelet says of a pod."""
    meta = raw["metadata"]
    path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
    kind = "application/merge-patch+json"
    api.request("PATCH", path, body={"status": status}, content_type=kind)
