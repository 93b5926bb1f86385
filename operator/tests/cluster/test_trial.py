"""What `helm test` runs against the operator, with the rights that the chart gives it."""

import asyncio
import os
import sys

from odeon_testkit import charts
from odeon_testkit.kube import settings
from odeon_testkit.operated_site import Site


def account(site: Site) -> dict[str, str]:
    """The environment of the chart's service account for tests, in this namespace."""
    for one in charts.rendered("default"):
        if one["metadata"]["name"] == "odeon-test" and one["kind"] != "ConfigMap":
            one["metadata"]["namespace"] = site.namespace
            for subject in one.get("subjects", []):
                subject["namespace"] = site.namespace
            if one["kind"] in ("ServiceAccount", "Role", "RoleBinding"):
                site.api.apply(one)
    path = f"/api/v1/namespaces/{site.namespace}/serviceaccounts/odeon-test/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = site.api.request("POST", path, body=asked)["status"]["token"]
    config = site.directory / "test.kubeconfig"
    config.write_text(settings.kubeconfig(site.plane.url, site.plane.ca_file, token))
    return {**os.environ, "KUBECONFIG": str(config), "POD_NAMESPACE": site.namespace}


async def trial(site: Site, *further: str) -> tuple[int | None, str]:
    """Run it; returns its exit status and all that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "odeon_operator.trial"),
        *("--pool=main", "--name=trial", *further),
        env=account(site),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 90)
    return process.returncode, said.decode()


async def test_a_pool_of_the_trial_serves_drains_and_goes(site: Site) -> None:
    site.make_pool(minReplicas=1)
    site.operator().start()
    await site.serving(1)

    status, said = await trial(site)

    assert status == 0, said
    assert "trial: a pod serves after" in said
    assert "trial: it drained and went" in said
    assert site.kubelet.killed == []
    assert len(site.names()) == 1
    path = f"/apis/odeon.live/v1alpha1/namespaces/{site.namespace}/transcoderpools/trial"
    assert not site.api.exists(path)


async def test_without_an_operator_the_trial_says_what_is_missing(site: Site) -> None:
    site.make_pool(minReplicas=1)

    status, said = await trial(site, "--within=2")

    assert status == 1
    assert "no pod serves after 2 s; the pool has no status: does the operator run?" in said
