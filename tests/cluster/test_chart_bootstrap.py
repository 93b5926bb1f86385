"""The Job that makes secrets, with the rights that the chart gives it and no others."""

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from odeon_testkit import charts
from odeon_testkit.kube import settings
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import ControlPlane

KINDS = ("ServiceAccount", "Role", "RoleBinding", "ConfigMap")
SECRET = "odeon-secrets"


@dataclass(frozen=True, slots=True)
class Site:
    """A namespace where the chart's objects for the Job are.

    Attributes:
        path: of the Secret.
        job: the Job as the chart renders it.
        config: a kubeconfig of the Job's service account.
    """

    api: KubeApi
    namespace: str
    job: Object
    config: Path

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/secrets/{SECRET}"

    def run(self, *more: str) -> str:
        """Run what the Job's container runs; returns what it says."""
        (container,) = self.job["spec"]["template"]["spec"]["containers"]
        command: list[str] = [*container["command"][1:], *container["args"], *more]
        env = {**os.environ, "KUBECONFIG": str(self.config), "POD_NAMESPACE": self.namespace}
        done = subprocess.run(
            [sys.executable, *command], env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self) -> dict[str, str]:
        found = self.api.get(self.path)["data"]
        return {key: base64.b64decode(value).decode() for key, value in found.items()}


@pytest.fixture
def site(kubernetes: ControlPlane, namespace: str, tmp_path: Path) -> Iterator[Site]:
    objects = charts.rendered("default")
    account = f"/api/v1/namespaces/{namespace}/serviceaccounts/odeon-bootstrap/token"
    with kubernetes.api() as api:
        for one in objects:
            if one["kind"] in KINDS and one["metadata"]["name"] in ("odeon-bootstrap", "odeon-env"):
                api.apply(moved(one, namespace))
        ask = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = api.request("POST", account, body=ask)["status"]["token"]
        config = tmp_path / "kubeconfig"
        config.write_text(settings.kubeconfig(kubernetes.url, kubernetes.ca_file, token))
        (job,) = [one for one in objects if one["kind"] == "Job"]
        yield Site(api, namespace, job, config)


def moved(one: Object, namespace: str) -> Object:
    """The same object in another namespace."""
    subjects = [{**s, "namespace": namespace} for s in one.get("subjects", [])]
    there = {**one, "metadata": {**one["metadata"], "namespace": namespace}}
    return {**there, "subjects": subjects} if subjects else there


def test_what_is_missing_is_made_and_what_is_there_stays(site: Site) -> None:
    said = site.run()
    first = site.data()
    change = {"data": {"service-secret": None}}
    site.api.request("PATCH", site.path, body=change, content_type="application/merge-patch+json")
    again = site.run()
    second = site.data()
    silent = site.run()

    assert set(first) == {value["key"] for value in charts.values()["secrets"].values()}
    assert re.fullmatch(r"odk_[a-z0-9]{8,32}_[A-Za-z0-9_-]{32,128}", first["api-key"])
    assert min(map(len, first.values())) >= 32
    assert first["nats-password"][0].isalpha()
    assert len(set(first.values())) == len(first)
    assert second.pop("service-secret") != first.pop("service-secret")
    assert second == first
    assert "made service-secret\n" in again
    assert "made nothing" in silent
    assert not any(secret in said + again + silent for secret in second.values())


def test_the_secret_outlives_the_release_unless_told_otherwise(site: Site) -> None:
    site.run()
    kept = site.api.get(site.path)["metadata"]
    site.run("--owner=odeon-env")
    owned = site.api.get(site.path)["metadata"]
    site.run()

    assert "ownerReferences" not in kept
    assert [(o["kind"], o["name"]) for o in owned["ownerReferences"]] == [
        ("ConfigMap", "odeon-env")
    ]
    assert "ownerReferences" not in site.api.get(site.path)["metadata"]
