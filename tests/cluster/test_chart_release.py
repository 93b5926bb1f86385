"""The chart's life on an empty cluster: installed, upgraded, uninstalled, with both Helms."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from odeon_testkit import charts, wait
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.kube.helm import Helm

GROUP = "/apis/odeon.live/v1alpha1"
KINDS = (
    *("/api/v1/services", "/api/v1/configmaps", "/api/v1/serviceaccounts"),
    *("/apis/apps/v1/deployments", "/apis/apps/v1/statefulsets", "/apis/batch/v1/jobs"),
    *("/apis/networking.k8s.io/v1/networkpolicies", "/apis/rbac.authorization.k8s.io/v1/roles"),
    *("/apis/rbac.authorization.k8s.io/v1/clusterroles", f"{GROUP}/edgepools"),
    *("/apis/scheduling.k8s.io/v1/priorityclasses", f"{GROUP}/transcoderpools"),
)
RELEASES = Path(__file__).parent / "releases"
"""Packages of what was given to users before: what they run is upgraded, never made anew."""
PREVIOUS = "0.1.0-pre.1"
GUARD = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/pool-deletion.odeon.live"


@pytest.fixture
def api(bare_kubernetes: ControlPlane) -> Iterator[KubeApi]:
    with bare_kubernetes.api() as client:
        yield client


@pytest.fixture
def helm(helm_program: Path, bare_kubernetes: ControlPlane, tmp_path: Path) -> Helm:
    return Helm(helm_program, bare_kubernetes.kubeconfig, tmp_path)


def namespace_of(helm: Helm, purpose: str) -> str:
    """One for each version of Helm."""
    return f"{purpose}-{helm.program.parent.name.split('-')[1].replace('.', '-')}"


def edge_pool(namespace: str) -> Object:
    """The pool that a release makes."""
    return {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": "EdgePool",
        "metadata": {"name": "odeon-edge-default", "namespace": namespace},
    }


def names(api: KubeApi, path: str) -> set[str]:
    """Objects of a kind that a release has."""
    found = api.get(f"{path}?labelSelector=app.kubernetes.io%2Finstance%3Dodeon")
    return {one["metadata"]["name"] for one in found["items"]}


async def test_a_release_comes_changes_and_goes_without_touching_what_somebody_scaled(
    helm: Helm, api: KubeApi, bare_kubernetes: ControlPlane
) -> None:
    namespace = namespace_of(helm, "live")
    release = ("odeon", charts.CHART, "--namespace", namespace)
    pool = edge_pool(namespace)

    said = helm.run("install", *release, "--create-namespace")
    jobs = names(api, "/apis/batch/v1/jobs")
    api.patch(pool, {"spec": {"scalingMode": "Manual", "replicas": 7}})
    helm.run(
        *("upgrade", *release, "--set", "image.tag=next"),
        *("--set", "edgePools.default.spec.maxReplicas=30", "--set", "gateway.replicas=2"),
    )
    upgraded = api.get(api.path_of(pool))["spec"]
    newer = names(api, "/apis/batch/v1/jobs")
    assert api.exists(GUARD)
    everything = {kind: names(api, kind) for kind in KINDS}
    helm.run("uninstall", "odeon", "--namespace", namespace)

    assert "export ODEON_API_KEY=" in said
    assert (upgraded["replicas"], upgraded["scalingMode"]) == (7, "Manual")
    assert upgraded["maxReplicas"] == 30
    assert len(jobs) == len(newer) == 1
    assert jobs != newer
    assert all(everything.values()), everything
    # Roles with the names of another namespace's release are not this one's.
    assert (
        f"{namespace}-odeon-operator"
        in everything["/apis/rbac.authorization.k8s.io/v1/clusterroles"]
    )

    async def gone() -> bool:
        return not (api.exists(GUARD) or any(names(api, kind) for kind in KINDS))

    await wait.until(gone)
    assert api.exists(
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/edgepools.odeon.live"
    )


async def test_the_release_before_this_one_is_upgraded_and_nothing_is_made_anew(
    helm: Helm, api: KubeApi
) -> None:
    namespace = namespace_of(helm, "older")
    where = ("--namespace", namespace)
    helm.run("install", "odeon", RELEASES / f"odeon-{PREVIOUS}.tgz", *where, "--create-namespace")
    pool = api.patch(edge_pool(namespace), {"spec": {"scalingMode": "Manual", "replicas": 7}})
    sets = api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets")["items"]

    crds = charts.ROOT / "helm" / "odeon-crds"
    helm.run("upgrade", "--install", "odeon-crds", crds, *where, "--take-ownership")
    helm.run("upgrade", "odeon", charts.CHART, *where, "--reset-then-reuse-values")

    upgraded = api.get(api.path_of(edge_pool(namespace)))
    assert upgraded["metadata"]["uid"] == pool["metadata"]["uid"]
    assert upgraded["spec"]["replicas"] == 7
    # A field of a StatefulSet that cannot change would have had the API server refuse it.
    after = api.get(f"/apis/apps/v1/namespaces/{namespace}/statefulsets")["items"]
    assert {s["metadata"]["uid"] for s in sets} == {s["metadata"]["uid"] for s in after}
    helm.run("uninstall", "odeon", *where)
