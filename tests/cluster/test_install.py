"""The whole product on a real node: installed, used, scaled, upgraded, taken away."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from odeon_testkit.kube import pods
from odeon_testkit.kube.api import KubeApi, Refused
from odeon_testkit.kube.helm import Helm
from odeon_testkit.kube.node import Node
from odeon_testkit.kube.programs import HELMS
from odeon_testkit.tenant import FRAME_RATE, Api, api_with, publishing, until_playing, watch_report

pytestmark = [pytest.mark.node, pytest.mark.e2e, pytest.mark.timeout(600)]

CHART = Path(__file__).parents[2] / "helm" / "odeon"
NAMESPACE = RELEASE = "odeon"
GATEWAY_PORT, EDGE_PORT = 30800, 30848
VOLUMES = 4
PLACE = f"/namespaces/{NAMESPACE}"
EDGE_POOL = f"/apis/odeon.live/v1alpha1{PLACE}/edgepools/odeon-edge-default"
TRANSCODER_POOL = f"/apis/odeon.live/v1alpha1{PLACE}/transcoderpools/odeon-transcoder-default"
# The node has two cores, and an upgrade has old and new pods on it.
PARTS = (
    *("auth", "room", "gateway", "signaling", "prober", "recorder", "analytics", "operator"),
    *("nats", "postgresql", "transcoderPools.default", "edgePools.default"),
)
KINDS = (
    *(f"/api/v1{PLACE}/{kind}" for kind in ("pods", "services", "persistentvolumeclaims")),
    f"/api/v1{PLACE}/secrets",
    *(f"/apis/apps/v1{PLACE}/{kind}" for kind in ("deployments", "statefulsets")),
    f"/apis/batch/v1{PLACE}/jobs",
    f"/apis/policy/v1{PLACE}/poddisruptionbudgets",
    f"/apis/networking.k8s.io/v1{PLACE}/networkpolicies",
    f"/apis/rbac.authorization.k8s.io/v1{PLACE}/roles",
    *(f"/apis/odeon.live/v1alpha1{PLACE}/{kind}" for kind in ("edgepools", "transcoderpools")),
    f"/apis/odeon.live/v1alpha1{PLACE}/scalingpolicies",
)
"""What a release has, where it is."""


@dataclass(frozen=True, slots=True)
class Site:
    """A cluster with a chart's release in it, or about to be."""

    node: Node
    api: KubeApi
    helm: Helm

    @property
    def gateway(self) -> str:
        """Base URL of the gateway."""
        return f"http://{self.node.address}:{GATEWAY_PORT}"

    def values(self, **further: Any) -> list[str]:
        """The small profile, reached at ports of the node, and hurried."""
        chosen = {
            "publicUrl": self.gateway,
            "edgeUrl": f"http://{self.node.address}:{EDGE_PORT}",
            "gateway.service.type": "NodePort",
            "gateway.service.nodePort": GATEWAY_PORT,
            "edgePools.default.service.type": "NodePort",
            "edgePools.default.service.nodePort": EDGE_PORT,
            "edgePools.default.drain.noticeSeconds": 3,
            "edgePools.default.drain.limitSeconds": 5,
            "scalingPolicies.edges.behavior.scaleIn.stabilizationWindowSeconds": 0,
            "keepOnUninstall": "false",
            **{f"{part}.resources.requests.cpu": "10m" for part in PARTS},
            **further,
        }
        sets = [f"--set={name}={value}" for name, value in chosen.items()]
        return [f"--values={CHART / 'values-small.yaml'}", *sets]

    async def run(self, *arguments: str | Path) -> str:
        """Helm, beside what the test does meanwhile."""
        return await asyncio.to_thread(self.helm.run, *arguments)

    async def upgrade(self, **further: Any) -> None:
        """Another revision of the release."""
        await self.run(
            "upgrade", RELEASE, CHART, f"--namespace={NAMESPACE}", *self.values(**further)
        )

    async def until(self, condition: Any, *, timeout_s: float = 180) -> None:
        """Return when something holds; fails with how pods are."""
        await asyncio.to_thread(self.node.wait_for, condition, timeout_s=timeout_s)

    def all_ready(self) -> bool:
        """Whether every pod of the release is ready and both pools have what they want."""
        pools = [self.api.get(path).get("status", {}) for path in (EDGE_POOL, TRANSCODER_POOL)]
        settled = all(
            pool.get("desired", {}).get("replicas") == pool.get("replicas") != 0
            and not pool.get("draining")
            and not pool.get("outdated")
            for pool in pools
        )
        return settled and pods.unready(self.api, NAMESPACE) == []

    def idle(self) -> bool:
        """Whether no pod has work or is on its way out, as far as their pools know."""
        pools = [self.api.get(path)["status"] for path in (EDGE_POOL, TRANSCODER_POOL)]
        return not any(pool.get("allocated") or pool.get("draining") for pool in pools)

    def edges(self) -> list[str]:
        """Names of the edges that are not on their way out."""
        found = pods.of(self.api, NAMESPACE, "odeon.live/pool=odeon-edge-default")
        return [p["metadata"]["name"] for p in found if p["status"]["phase"] == "Running"]

    def api_key(self) -> str:
        """What the installation made up."""
        secret = self.api.get(f"/api/v1{PLACE}/secrets/odeon-secrets")
        return base64.b64decode(secret["data"]["api-key"]).decode()

    def left(self) -> list[str]:
        """What is there of the release."""
        found = [item for kind in KINDS for item in self._items(kind)]
        # Helm leaves pods that tested a release to whoever wants to read their logs.
        kept = f"{RELEASE}-test-"
        ours = (RELEASE, f"data-{RELEASE}")
        return [name for name in found if name.startswith(ours) and not name.startswith(kept)]

    def _items(self, path: str) -> list[str]:
        try:
            return [item["metadata"]["name"] for item in self.api.get(path)["items"]]
        except Refused as refused:
            assert refused.code == 404, refused
            return []


@pytest.fixture
def site(kubernetes_node: Node, helm_program: Path, tmp_path: Path) -> Iterator[Site]:
    """A cluster with room for the chart, in a namespace without any privilege."""
    kubernetes_node.add_volumes(VOLUMES)
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"name": NAMESPACE, "labels": labels}
    with kubernetes_node.plane.api() as api:
        api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
        yield Site(
            kubernetes_node, api, Helm(helm_program, kubernetes_node.plane.kubeconfig, tmp_path)
        )


@asynccontextmanager
async def installed(site: Site) -> AsyncIterator[Api]:
    """A release; afterwards it must be gone without a trace, but for the resources' definitions."""
    await site.run("install", RELEASE, CHART, f"--namespace={NAMESPACE}", *site.values())
    await site.until(site.all_ready)
    async with api_with(site.gateway, site.api_key()) as api:
        yield api
    # A pool with live work is not deleted.
    await site.until(site.idle)
    await site.run("uninstall", RELEASE, f"--namespace={NAMESPACE}")
    await site.until(lambda: site.left() == [], timeout_s=60)
    assert site.api.exists("/apis/odeon.live/v1alpha1/edgepools")


async def whep_report(site: Site, api: Api, event: str) -> dict[str, Any]:
    """What a viewer by WebRTC sees in some seconds."""
    token = await api.call(
        "auth.v1.AuthService/IssueToken", kind="TOKEN_KIND_PLAYBACK", event=event, role="viewer"
    )
    url = f"{site.gateway}/whep/{event.removeprefix('events/')}"
    return await watch_report(url, seconds=4, token=token["token"])


@pytest.mark.parametrize("helm_program", HELMS[1:], indirect=True, ids=lambda helm: helm.name)
async def test_an_event_is_seen_while_edges_come_and_go_and_the_release_is_upgraded(
    site: Site,
) -> None:
    async with installed(site) as api:
        event, links = await api.live_event()
        async with publishing(links):
            await until_playing(links["playlistUrl"])
            viewer = asyncio.create_task(watch_report(links["playlistUrl"], seconds=40))
            by_webrtc = await whep_report(site, api, event)
            await site.upgrade(**{"edgePools.default.spec.minReplicas": 2})
            await site.until(lambda: len(site.edges()) == 2 and site.all_ready())
            before = site.edges()
            # Other edges, another gateway, and one edge less.
            other = {"edgePools.default.cacheMb": 96, "gateway.podAnnotations.revision": "second"}
            await site.upgrade(**other)
            await site.until(lambda: len(site.edges()) == 1 and site.all_ready())
            after = site.edges()
            by_hls = await viewer
        await api.call("room.v1.RoomService/EndEvent", name=event)

    assert by_webrtc["frames"] > 2 * FRAME_RATE
    assert by_webrtc["latency_source"] == "test card"
    assert not set(before) & set(after)
    # How smooth it was is measured elsewhere, on machines with time for it.
    assert by_hls["gaps"] == 0, by_hls
    assert by_hls["frames"] > by_hls["seconds"] * FRAME_RATE / 2, by_hls


@pytest.mark.parametrize("helm_program", HELMS[:1], indirect=True, ids=lambda helm: helm.name)
async def test_the_release_tests_itself(site: Site) -> None:
    async with installed(site):
        said = await site.run("test", RELEASE, f"--namespace={NAMESPACE}", "--timeout=90s")
        await site.upgrade(**{"gateway.podAnnotations.revision": "second"})
        await site.until(site.all_ready)

    assert "Phase:          Succeeded" in said
