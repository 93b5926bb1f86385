"""What the operator must be allowed; its README has the same table, and a chart's role is this."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from odeon.bookings.v1 import bookings_pb2
from odeon_runtime.bookings import Bookings
from odeon_runtime.bus import Bus
from odeon_testkit.kube import settings
from odeon_testkit.kube.api import Object
from odeon_testkit.operated_site import Site

README = Path(__file__).parents[2] / "README.md"
Rights = dict[tuple[str, str], tuple[str, ...]]
SEE = ("get", "list", "watch")
CLUSTER_WIDE: Rights = {
    ("", "nodes"): SEE,
    ("", "namespaces"): SEE,
    ("apiextensions.k8s.io", "customresourcedefinitions"): SEE,
    ("odeon.live", "tenants"): SEE,
}
IN_NAMESPACES: Rights = {
    ("", "pods"): (*SEE, "create", "patch", "delete"),
    ("odeon.live", "transcoderpools"): SEE,
    ("odeon.live", "edgepools"): SEE,
    ("odeon.live", "scalingpolicies"): SEE,
    ("odeon.live", "liveevents"): (*SEE, "create", "patch", "delete"),
    ("odeon.live", "transcoderpools/status"): ("patch",),
    ("odeon.live", "edgepools/status"): ("patch",),
    ("odeon.live", "liveevents/status"): ("patch",),
    ("", "services"): ("list",),
    ("apps", "statefulsets"): ("list",),
    ("policy", "poddisruptionbudgets"): ("list", "create", "patch"),
    ("events.k8s.io", "events"): ("create", "patch"),
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


def _path(site: Site) -> str:
    return f"/apis/odeon.live/v1alpha1/namespaces/{site.namespace}/liveevents"


def _booked(site: Site) -> Object:
    there = site.api.exists(f"{_path(site)}/acme.gala")
    return site.api.get(f"{_path(site)}/acme.gala") if there else {}


async def _book(site: Site) -> None:
    """Room tells of a booking; another one, made by hand, has outlived its time."""
    start, hour = datetime.now(UTC) + timedelta(hours=1), timedelta(hours=1)
    times = {"start": (start - 9 * hour).isoformat(), "end": (start - 8 * hour).isoformat()}
    old = {"tenantRef": {"name": "acme"}, "ttlSecondsAfterFinished": 0, **times}
    meta = {"name": "old", "namespace": site.namespace}
    kind = {"apiVersion": "odeon.live/v1alpha1", "kind": "LiveEvent"}
    site.api.create({**kind, "metadata": meta, "spec": old})
    gala = bookings_pb2.Booking(tenant_id="acme", event_id="gala")
    gala.schedule_time.FromDatetime(start)
    gala.schedule_end_time.FromDatetime(start + hour)
    async with Bus(site.nats.url, name="room") as bus:
        await bus.connected.wait()
        await Bookings(bus).put(gala, after=0)


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
    await _book(site)
    await site.until(lambda: _booked(site).get("status", {}).get("phase") == "Pending")
    site.api.patch(_booked(site), {"spec": {"registrations": 8}})
    await site.until(lambda: _booked(site)["spec"]["registrations"] == 0)
    await site.until(lambda: not site.api.exists(f"{_path(site)}/old"))
    assert "forbidden" not in operator.log.read_text()


def test_the_readme_tells_these_rights() -> None:
    section = README.read_text().split("## Rights", 1)[1].split("\n## ", 1)[0]
    told = {
        (row[0] if row[0] != "core" else "", resource): tuple(re.findall(r"\w+", row[2]))
        for row in re.findall(r"^\| `([\w.]+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
        for resource in re.findall(r"`([\w/]+)`", row[1])
    }

    assert told == {**CLUSTER_WIDE, **IN_NAMESPACES}
