"""What the operator must be allowed; its README has the same table, and a chart's role is this."""

import re
from pathlib import Path

from odeon_testkit.kube import settings
from odeon_testkit.operated_site import Site

README = Path(__file__).parents[2] / "README.md"
Rights = dict[tuple[str, str], tuple[str, ...]]
SEE = ("get", "list", "watch")
CLUSTER_WIDE: Rights = {
    ("", "nodes"): SEE,
    ("", "namespaces"): SEE,
    ("apiextensions.k8s.io", "customresourcedefinitions"): SEE,
}
IN_NAMESPACES: Rights = {
    ("", "pods"): (*SEE, "create", "patch", "delete"),
    ("odeon.live", "transcoderpools"): SEE,
    ("odeon.live", "edgepools"): SEE,
    ("odeon.live", "scalingpolicies"): SEE,
    ("odeon.live", "liveevents"): SEE,
    ("odeon.live", "transcoderpools/status"): ("patch",),
    ("odeon.live", "edgepools/status"): ("patch",),
    ("apps", "statefulsets"): ("list",),
    ("coordination.k8s.io", "leases"): ("get", "create", "update"),
}


def rules(rights: Rights) -> list[dict[str, list[str]]]:
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}
        for (group, resource), verbs in rights.items()
    ]


def _account(site: Site) -> str:
    """A service account that has these rights and no others; returns its token."""
    name, rbac = f"{site.namespace}-operator", "rbac.authorization.k8s.io"
    here = {"name": "operator", "namespace": site.namespace}
    who = [{"kind": "ServiceAccount", **here}]
    site.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": here})
    for kind, meta, rights in (
        ("ClusterRole", {"name": name}, CLUSTER_WIDE),
        ("Role", here, IN_NAMESPACES),
    ):
        made = {"apiVersion": f"{rbac}/v1", "metadata": meta}
        site.api.create({**made, "kind": kind, "rules": rules(rights)})
        ref = {"apiGroup": rbac, "kind": kind, "name": meta["name"]}
        site.api.create({**made, "kind": f"{kind}Binding", "subjects": who, "roleRef": ref})
    path = f"/api/v1/namespaces/{site.namespace}/serviceaccounts/operator/token"
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token: str = site.api.request("POST", path, body=asked)["status"]["token"]
    return token


async def test_the_rights_that_are_told_are_enough(site: Site) -> None:
    config = site.directory / "operator.kubeconfig"
    token = _account(site)
    config.write_text(settings.kubeconfig(site.plane.url, site.plane.ca_file, token))
    site.make_pool(minReplicas=2)
    operator = site.operator(KUBECONFIG=str(config))
    operator.start()
    await site.serving(2)

    # One goes, one of a policy that is edited comes: everything that is written was.
    site.set_pool(minReplicas=0)
    await site.serving(1)
    site.make_policy("eager", buffer=3)
    await site.serving(3)

    await site.until(lambda: site.condition("Ready").get("status") == "True")
    assert "forbidden" not in operator.log.read_text()


def test_the_readme_tells_these_rights() -> None:
    section = README.read_text().split("## Rights", 1)[1].split("\n## ", 1)[0]
    told = {
        (row[0] if row[0] != "core" else "", resource): tuple(re.findall(r"\w+", row[2]))
        for row in re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
        for resource in re.findall(r"`([\w/]+)`", row[1])
    }

    assert told == {**CLUSTER_WIDE, **IN_NAMESPACES}
