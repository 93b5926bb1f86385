"""The chart odeon-crds, with both Helms on an empty cluster."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from odeon_operator.api.crds import KINDS
from odeon_testkit import wait
from odeon_testkit.go_programs import GoPrograms
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.kube.helm import Helm, HelmFailed
from odeon_testkit.kube.programs import HELMS

CHART = Path(__file__).parents[2] / "helm" / "odeon-crds"
CRD = "CustomResourceDefinition"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
RELEASE = ("odeon-crds", "--namespace", "odeon-system", "--create-namespace")
POOL = {
    "apiVersion": "odeon.live/v1alpha1",
    "kind": "EdgePool",
    "metadata": {"name": "edges", "namespace": "default"},
    "spec": {"maxReplicas": 9, "viewersPerPod": 100},
}


@pytest.fixture
def api(bare_kubernetes: ControlPlane) -> Iterator[KubeApi]:
    with bare_kubernetes.api() as client:
        yield client


@pytest.fixture
async def helm(
    helm_program: Path, bare_kubernetes: ControlPlane, api: KubeApi, tmp_path: Path
) -> Helm:
    """Helm on a cluster without any of Odeon's resources, and without releases."""
    # One by one: a deleted collection of definitions leaves their objects in etcd.
    for crd in definitions(api).values():
        api.delete({"apiVersion": "apiextensions.k8s.io/v1", "kind": CRD, **crd})
    api.request("DELETE", "/api/v1/namespaces/odeon-system/secrets")

    async def empty() -> bool:
        return not definitions(api)

    await wait.until(empty)
    return Helm(helm_program, bare_kubernetes.kubeconfig, tmp_path)


def definitions(api: KubeApi) -> dict[str, Object]:
    """What the API server knows, by the names of the kinds."""
    return {crd["spec"]["names"]["kind"]: crd for crd in api.get(DEFINITIONS)["items"]}


def next_version(folder: Path) -> Path:
    """The chart as a later release might be: edges have one field more."""
    chart = folder / "odeon-crds"
    shutil.copytree(CHART, chart)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    (chart / "Chart.yaml").write_text(yaml.safe_dump({**about, "version": "0.2.0"}))
    file = chart / "templates" / "edgepools.yaml"
    crd: Object = yaml.safe_load(file.read_text())
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["properties"]["later"] = {"type": "string"}
    file.write_text(yaml.safe_dump(crd))
    return chart


def test_the_chart_passes_a_strict_lint(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm.run("lint", "--strict", CHART)


def test_resources_outlive_upgrade_and_uninstall(
    helm: Helm, bare_kubernetes: ControlPlane, api: KubeApi, tmp_path: Path
) -> None:
    helm.run("install", *RELEASE, CHART)
    bare_kubernetes.wait_until_served(definitions(api).values())
    pool = api.apply(POOL)

    helm.run("upgrade", *RELEASE, next_version(tmp_path))
    changed = api.patch(pool, {"spec": {"later": "now"}})
    helm.run("uninstall", *RELEASE[:3])

    assert changed["spec"]["later"] == "now"
    assert set(definitions(api)) == {kind.name for kind in KINDS}
    kept = api.get(api.path_of(POOL))
    assert kept["metadata"]["uid"] == pool["metadata"]["uid"]


def one_command_install(folder: Path) -> Path:
    """A chart that brings the definitions along in `crds/`, as the chart `odeon` does."""
    chart = folder / "odeon"
    shutil.copytree(CHART / "templates", chart / "crds")
    about = {"apiVersion": "v2", "name": "odeon", "version": "0.1.0"}
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about))
    return chart


@pytest.mark.parametrize("first", HELMS, ids=lambda helm: f"after {helm.name}")
def test_definitions_of_the_one_command_install_are_taken_over_when_told_to(
    helm: Helm,
    first: GoPrograms,
    bare_kubernetes: ControlPlane,
    api: KubeApi,
    tmp_path: Path,
) -> None:
    before = replace(helm, program=first.folder / "helm")
    before.run("install", "odeon", *RELEASE[1:], one_command_install(tmp_path))
    bare_kubernetes.wait_until_served(definitions(api).values())
    pool = api.apply(POOL)
    chart = next_version(tmp_path)
    with pytest.raises(HelmFailed, match="invalid ownership metadata"):
        helm.run("upgrade", "--install", *RELEASE, chart)

    helm.run("upgrade", "--install", "--take-ownership", *RELEASE, chart)

    changed = api.patch(pool, {"spec": {"later": "now"}})
    assert changed["spec"]["later"] == "now"
    assert changed["metadata"]["uid"] == pool["metadata"]["uid"]


@pytest.mark.parametrize("helm_program", HELMS[1:], indirect=True, ids=lambda helm: helm.name)
def test_helm_4_takes_over_from_server_side_apply_only_by_force(
    helm: Helm, bare_kubernetes: ControlPlane, api: KubeApi, tmp_path: Path
) -> None:
    bare_kubernetes.apply_crds()
    take = ("upgrade", "--install", "--take-ownership", *RELEASE, next_version(tmp_path))
    with pytest.raises(HelmFailed, match="conflict"):
        helm.run(*take)

    helm.run(*take, "--force-conflicts")

    pool = api.apply(POOL)
    assert api.patch(pool, {"spec": {"later": "now"}})["spec"]["later"] == "now"
