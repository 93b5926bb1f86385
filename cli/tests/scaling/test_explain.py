"""Why a pool is as it is, read from a real API server."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from odeon_cli.main import app
from odeon_cli.scaling.explain import sparkline
from odeon_testkit.kube import settings
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.operated import pool_manifest
from typer.testing import CliRunner, Result

AT = "2026-05-04T12:00:00Z"
SAID = ["main wants 3 pods (before: 1, standing: 1), decided by load.", "Rule load asks for 3: x."]
STATUS = {
    "replicas": 3,
    "ready": 2,
    "allocated": 1,
    "slots": {"total": 6, "used": 2},
    "coldStart": {"p50Seconds": 20, "p95Seconds": 40, "samples": 9},
    "desired": {"replicas": 3, "rule": "load", "reason": SAID[0], "at": AT},
    "decisions": [
        {"at": AT, "wanted": 1, "previous": 0, "rule": "minReplicas", "said": ["one is the least"]},
        {"at": AT, "wanted": 3, "previous": 1, "rule": "load", "said": SAID},
    ],
    "conditions": [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": AT,
        }
        for kind, status, reason, message in (
            ("Ready", "True", "EnoughPods", "3 of 3"),
            ("DrainBlocked", "True", "StillInUse", "main-0: it has live work"),
        )
    ],
}


@pytest.fixture
def api(kubernetes: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig))
    monkeypatch.setenv("COLUMNS", "200")
    with kubernetes.api() as made:
        yield made


def make_pool(api: KubeApi, namespace: str, kind: str = "TranscoderPool") -> Object:
    manifest = pool_manifest("main", namespace)
    if kind == "EdgePool":
        spec = {k: v for k, v in manifest["spec"].items() if k != "slotsPerPod"}
        manifest = {**manifest, "kind": kind, "spec": {**spec, "viewersPerPod": 100}}
    return api.create(manifest)


def explained(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["scaling", "explain", *arguments])


def test_what_was_decided_and_why_is_shown_with_trouble_first(api: KubeApi, namespace: str) -> None:
    api.patch(make_pool(api, namespace), {"status": STATUS}, subresource="/status")

    shown = explained("main", "-n", namespace)
    told = explained("main", "-n", namespace, "--json")

    assert shown.exit_code == 0, shown.output
    assert "wants 3 by load" in shown.stdout
    assert shown.stdout.index("DrainBlocked=True") < shown.stdout.index("Ready=True")
    assert shown.stdout.index("1 → 3") < shown.stdout.index("0 → 1")
    assert "Rule load asks for 3: x." in shown.stdout
    record = json.loads(told.stdout)
    assert (record["kind"], record["pool"]) == ("TranscoderPool", "main")
    assert record["status"]["decisions"][1]["said"] == SAID


def test_what_cannot_be_explained_is_said_with_the_way_out(api: KubeApi, namespace: str) -> None:
    missing = explained("main", "-n", namespace)
    make_pool(api, namespace)
    unseen = explained("main", "-n", namespace)
    make_pool(api, namespace, "EdgePool")
    both = explained("main", "-n", namespace)
    wrong = explained("room/main", "-n", namespace)

    assert {missing.exit_code, unseen.exit_code, both.exit_code, wrong.exit_code} == {1}
    assert "there is no pool main" in missing.stderr
    assert "the operator has not looked at main yet" in unseen.stderr
    assert "say which: transcoderpool/main or edgepool/main" in both.stderr
    assert "no kind of pool is called room" in wrong.stderr
    assert explained("edgepool/main", "-n", namespace, "--json").exit_code == 0


def test_without_rights_or_a_cluster_it_says_which_is_missing(
    api: KubeApi,
    kubernetes: ControlPlane,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    api.create(
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "guest", "namespace": namespace},
        }
    )
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/guest/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = api.request("POST", path, body=asked)["status"]["token"]
    config = tmp_path / "config"
    config.write_text(settings.kubeconfig(kubernetes.url, kubernetes.ca_file, token))

    monkeypatch.setenv("KUBECONFIG", str(config))
    forbidden = explained("main", "-n", namespace)
    config.write_text(settings.kubeconfig("https://127.0.0.1:1", kubernetes.ca_file, token))
    away = explained("main", "-n", namespace)
    monkeypatch.delenv("KUBECONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    nowhere = explained("main")

    assert {forbidden.exit_code, away.exit_code, nowhere.exit_code} == {1}
    assert "right to get pools" in forbidden.stderr
    assert "kubectl cluster-info" in away.stderr
    assert "no cluster is known" in nowhere.stderr


def test_numbers_are_drawn_as_bars_from_zero() -> None:
    assert sparkline([0, 4, 8]) == "▁▅█"
    assert sparkline([]) == ""
    assert sparkline([0, 0]) == "▁▁"
