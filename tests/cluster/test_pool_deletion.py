"""A pool with live work is not deleted by mistake: its pods would be deleted with it, at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from odeon_testkit import wait
from odeon_testkit.kube.api import KubeApi, Object, Refused, documents
from odeon_testkit.kube.control_plane import ControlPlane

POLICY = Path(__file__).parents[2] / "helm" / "odeon" / "files" / "pool-deletion.yaml"
SPEC: dict[str, Object] = {
    "TranscoderPool": {"maxReplicas": 9, "slotsPerPod": 4},
    "EdgePool": {"maxReplicas": 9, "viewersPerPod": 100},
}


@pytest.fixture
def api(kubernetes: ControlPlane) -> Iterator[KubeApi]:
    with kubernetes.api() as client:
        yield client


@pytest.fixture
async def guarded(api: KubeApi, namespace: str) -> str:
    """A namespace where the policy of the chart holds; other tests have theirs to themselves."""
    policy, binding = documents(POLICY.read_text())
    labels = {"odeon.test/guarded": "true"}
    binding["spec"]["matchResources"] = {"namespaceSelector": {"matchLabels": labels}}
    api.apply(policy)
    api.apply(binding)
    own = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}
    api.patch(own, {"metadata": {"labels": labels}})
    probe = pool(api, namespace, "EdgePool", "probe", allocated=1)

    async def holds() -> bool:
        try:
            api.delete(probe, dry_run=True)
        except Refused:
            return True
        return False

    await wait.until(holds)
    return namespace


def pool(api: KubeApi, namespace: str, kind: str, name: str, **status: int) -> Object:
    metadata = {"name": name, "namespace": namespace}
    created = api.create(
        {
            "apiVersion": "odeon.live/v1alpha1",
            "kind": kind,
            "metadata": metadata,
            "spec": SPEC[kind],
        }
    )
    return api.patch(created, {"status": status}, subresource="/status") if status else created


@pytest.mark.parametrize("kind", list(SPEC))
@pytest.mark.parametrize("status", [{"allocated": 2, "draining": 1}, {"draining": 1}])
def test_a_pool_with_live_work_stays(
    api: KubeApi, guarded: str, kind: str, status: dict[str, int]
) -> None:
    busy = pool(api, guarded, kind, "busy", ready=3, **status)

    with pytest.raises(Refused) as refusal:
        api.delete(busy)

    assert refusal.value.code == 403
    counts = f"{status.get('allocated', 0)} pods have live work and 1 drain"
    assert counts in refusal.value.message
    plural = "transcoderpools" if kind == "TranscoderPool" else "edgepools"
    advice = f"kubectl annotate {plural} busy odeon.live/force-delete=true"
    assert advice in refusal.value.message
    assert api.exists(api.path_of(busy))


@pytest.mark.parametrize("status", [{}, {"ready": 3, "replicas": 3, "allocated": 0}])
def test_a_pool_without_live_work_goes(api: KubeApi, guarded: str, status: dict[str, int]) -> None:
    idle = pool(api, guarded, "TranscoderPool", "idle", **status)

    api.delete(idle)

    assert not api.exists(api.path_of(idle))


def test_whoever_says_so_deletes_live_work(api: KubeApi, guarded: str) -> None:
    busy = pool(api, guarded, "TranscoderPool", "busy", allocated=2)

    def annotate(value: str) -> None:
        change = {"metadata": {"annotations": {"odeon.live/force-delete": value}}}
        api.patch(busy, change)

    annotate("false")
    with pytest.raises(Refused):
        api.delete(busy)
    annotate("true")
    api.delete(busy)

    assert not api.exists(api.path_of(busy))


def test_deleting_all_pools_of_a_namespace_spares_those_with_live_work(
    api: KubeApi, guarded: str
) -> None:
    busy = pool(api, guarded, "TranscoderPool", "busy", allocated=2)
    everything = api.path_of(busy).rsplit("/", 1)[0]

    with pytest.raises(Refused, match="2 pods have live work"):
        api.request("DELETE", everything)

    assert api.exists(api.path_of(busy))
