"""The same port over an API server in memory and over a real one."""

from collections.abc import AsyncIterator, Iterator
from fractions import Fraction
from typing import Protocol

import pytest
from odeon_operator.adapters.kube.client import KubeClient
from odeon_operator.adapters.kube.cluster import KubeCluster
from odeon_operator.adapters.kube.picture import Picture
from odeon_operator.api.objects import KubeObjects
from odeon_operator.domain.demand import Target
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.sight import PodFacts
from odeon_operator.ports import Cluster, PoolRef
from odeon_runtime.bus import Bus
from odeon_testkit.fleet import Api, FleetCluster, ManualClock
from odeon_testkit.kube.api import KubeApi
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.operated import pool_manifest


class Truth(Protocol):
    """What stands, and two who look at it."""

    one: Cluster
    two: Cluster

    def make_pool(self, name: str) -> PoolRef:
        """Somebody makes a pool."""
        ...

    def touch(self, pod: PodFacts) -> None:
        """Somebody else changes a pod."""
        ...

    def remove(self, pod: PodFacts) -> None:
        """A pod goes."""
        ...

    def give_away(self, pod: PodFacts) -> None:
        """In place of a pod stands one of the same name and another owner."""
        ...

    async def sync(self) -> None:
        """Both learn of everything."""
        ...


class FleetTruth:
    def __init__(self) -> None:
        self.api = Api(ManualClock())
        self.fleets = [FleetCluster(self.api), FleetCluster(self.api)]
        self.one: Cluster = self.fleets[0]
        self.two: Cluster = self.fleets[1]

    def make_pool(self, name: str) -> PoolRef:
        slots = (Target(Metric.ACTIVE_TRANSCODES, Fraction(2)),)
        return self.api.add_pool(Pool(name, 0, 9, slots, version="v1"), Policy())

    def touch(self, pod: PodFacts) -> None:
        self.api.change_pod(pod.uid, node="elsewhere")

    def remove(self, pod: PodFacts) -> None:
        del self.api.pods[pod.uid]

    def give_away(self, pod: PodFacts) -> None:
        self.api.change_pod(pod.uid, owner="somebody")

    async def sync(self) -> None:
        for one in self.fleets:
            one.sync()


class KubeTruth:
    def __init__(self, api: KubeApi, namespace: str, client: KubeClient) -> None:
        self.api, self.namespace = api, namespace
        self.told: list[PoolRef] = []
        self.looks = [self._looks(client), self._looks(client)]
        self.one: Cluster = self.looks[0]
        self.two: Cluster = self.looks[1]

    def _looks(self, client: KubeClient) -> KubeCluster:
        objects = KubeObjects()
        picture = Picture(objects, self.told.append)
        return KubeCluster(client, picture, objects, namespace=self.namespace)

    def make_pool(self, name: str) -> PoolRef:
        self.api.create(pool_manifest(name, self.namespace))
        return PoolRef("TranscoderPool", self.namespace, name)

    def _path(self, pod: PodFacts) -> str:
        return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"

    def touch(self, pod: PodFacts) -> None:
        change = {"metadata": {"annotations": {"example.com/touched": "yes"}}}
        kind = "application/merge-patch+json"
        self.api.request("PATCH", self._path(pod), body=change, content_type=kind)

    def remove(self, pod: PodFacts) -> None:
        self.api.request("DELETE", self._path(pod), body={"gracePeriodSeconds": 0})

    def give_away(self, pod: PodFacts) -> None:
        self.remove(pod)
        container = {"name": "main", "image": "odeon.invalid/other"}
        meta = {"name": pod.name, "namespace": pod.namespace}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta}
        self.api.create({**body, "spec": {"containers": [container]}})

    async def sync(self) -> None:
        for one in self.looks:
            await one.make_whole()


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    async with Bus(nats.url, name="test") as bus:
        await bus.connected.wait()
        yield bus


@pytest.fixture(params=["fleet", "kube"])
async def truth(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Truth]:
    if request.param == "fleet":
        yield FleetTruth()
        return
    plane: ControlPlane = request.getfixturevalue("kubernetes")
    monkeypatch.setenv("KUBECONFIG", str(plane.kubeconfig))
    with plane.api() as api:
        async with KubeClient() as client:
            yield KubeTruth(api, request.getfixturevalue("namespace"), client)
