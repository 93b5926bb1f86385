"""The chart `odeon`: what both Helms render, and what a real API server says to it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from odeon_testkit import charts
from odeon_testkit.kube.api import KubeApi, Object, Refused, documents
from odeon_testkit.kube.control_plane import ControlPlane

PROFILES = list(charts.profiles())
FOREIGN = ("monitoring.coreos.com", "gateway.networking.k8s.io")
"""Kinds of others, which the test's API server does not know."""
FIRST = ("ServiceAccount", "PriorityClass")
"""What pods are refused without."""


@pytest.fixture(scope="module")
def api(kubernetes: ControlPlane) -> Iterator[KubeApi]:
    """A cluster with the release's namespace, where the strictest standard holds."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    namespace = {"name": charts.NAMESPACE, "labels": labels}
    with kubernetes.api() as client:
        client.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": namespace})
        yield client


@pytest.fixture(scope="module", params=PROFILES)
def profile(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def objects(profile: str) -> list[Object]:
    return charts.rendered(profile)


def name_of(one: Object) -> str:
    return f"{one['kind']} {one['metadata']['name']}"


def pods(objects: list[Object]) -> dict[str, Object]:
    """The pod of every template, by the object that has it."""
    found = {}
    for one in objects:
        template = one if one["kind"] == "Pod" else (one.get("spec") or {}).get("template")
        if template is not None:
            found[name_of(one)] = {**template, "spec": with_claims(template["spec"], one["spec"])}
    return found


def with_claims(pod: Object, owner: Object) -> Object:
    """What a StatefulSet adds to its pods."""
    claims = [
        {"name": (name := claim["metadata"]["name"]), "persistentVolumeClaim": {"claimName": name}}
        for claim in owner.get("volumeClaimTemplates", [])
    ]
    return {**pod, "volumes": [*pod.get("volumes", []), *claims]}


def test_the_render_is_the_one_that_was_reviewed(profile: str, helm_program: Path) -> None:
    golden = documents((charts.GOLDEN / f"{profile}.yaml").read_text())
    found = charts.rendered(profile, helm=helm_program)

    assert list(map(without_rights, found)) == list(map(without_rights, golden)), "run: make charts"


def without_rights(one: Object) -> Object:
    """The operator's roles follow its README, by a test of their own."""
    operators = one["kind"] in ("Role", "ClusterRole") and name_of(one).endswith("-operator")
    return {**one, "rules": []} if operators else one


def test_the_operator_may_do_what_its_readme_tells_and_no_more() -> None:
    told = charts.rights()
    one = charts.rendered("default")
    all_over = charts.rendered("default", "--set", "operator.watchAllNamespaces=true")

    def rules(objects: list[Object]) -> dict[str, list[Object]]:
        names = ("Role odeon-operator", "ClusterRole odeon-odeon-operator")
        return {found["kind"]: found["rules"] for found in objects if name_of(found) in names}

    assert rules(one) == {"ClusterRole": told["cluster"], "Role": told["namespaces"]}
    assert rules(all_over) == {"ClusterRole": told["cluster"] + told["namespaces"]}


def test_the_chart_passes_a_strict_lint(profile: str, helm_program: Path) -> None:
    assert "0 chart(s) failed" in charts.lint(profile, helm=helm_program)


def test_the_api_server_accepts_every_object_and_every_pod(
    api: KubeApi, objects: list[Object]
) -> None:
    said = {}
    for one in sorted(objects, key=lambda found: found["kind"] not in FIRST):
        if one["apiVersion"].partition("/")[0] in FOREIGN:
            continue
        try:
            api.apply(one, dry_run=one["kind"] not in FIRST)
        except Refused as refused:
            said[name_of(one)] = refused.message
    for owner, template in pods(objects).items():
        where = {"name": "it", "namespace": charts.NAMESPACE}
        pod = {"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}
        try:
            api.apply({**pod, "metadata": {**template["metadata"], **where}}, dry_run=True)
        except Refused as refused:
            said[f"pod of {owner}"] = refused.message

    assert said == {}


def test_what_is_generated_is_current() -> None:
    crds = {file.name: file.read_text() for file in (charts.CHART / "crds").iterdir()}

    assert crds == {file.name: file.read_text() for file in charts.CRDS.iterdir()}, "run: make crds"
    assert charts.RIGHTS.read_text() == charts.rights_file(), "run: make charts"
    assert charts.PAGE.read_text() == charts.values_page(), "run: make charts"


def any_of(objects: list[Object], kind: str) -> list[Any]:
    return [one for one in objects if one["kind"] == kind]


def test_a_pool_never_says_how_many_pods_it_has(objects: list[Object]) -> None:
    pools = any_of(objects, "TranscoderPool") + any_of(objects, "EdgePool")

    assert pools
    assert [
        p["metadata"]["name"] for p in pools if {"replicas", "scalingMode"} & set(p["spec"])
    ] == []
