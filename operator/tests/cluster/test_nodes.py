"""`kubectl drain` and the operator: evictions wait until the work of a node has moved."""

import asyncio

from odeon_testkit.kube.api import Refused
from odeon_testkit.operated import make_node
from odeon_testkit.operated_site import Site


def _evict(site: Site, name: str) -> int:
    """Ask for an eviction, as `kubectl drain` does; the status code."""
    path = f"/api/v1/namespaces/{site.namespace}/pods/{name}/eviction"
    meta = {"name": name, "namespace": site.namespace}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": meta}
    try:
        site.api.request("POST", path, body=body)
    except Refused as refused:
        return refused.code
    return 201


async def test_a_drained_node_is_left_by_its_jobs_before_any_pod_with_work_goes(site: Site) -> None:
    old, new = f"{site.namespace}-old", f"{site.namespace}-new"
    nodes = [await asyncio.to_thread(make_node, site.api, name) for name in (old, new)]
    site.kubelet.node = old
    site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    before = site.uids()
    busy = next(iter(site.kubelet.running.values()))
    assert await busy.claim()
    await site.until(lambda: site.states() == ["allocated", "ready"])
    budget = f"/apis/policy/v1/namespaces/{site.namespace}/poddisruptionbudgets/main-transcoderpool"
    await site.until(lambda: site.api.get(budget).get("status", {}).get("currentHealthy") == 1)

    site.kubelet.node = new
    site.api.patch(nodes[0], {"spec": {"unschedulable": True}})
    assert _evict(site, busy.name) == 429
    await site.until(lambda: not site.uids() & before, timeout_s=40)

    assert site.kubelet.killed == []
    assert sum(pod.sessions for pod in site.kubelet.running.values()) == 1
    on = {pod["spec"]["nodeName"] for pod in site.kubelet.pods()}
    assert on == {new}
    idle = next(p for p in site.kubelet.running.values() if not p.sessions)
    await site.until(lambda: site.states().count("allocated") == 1)
    assert _evict(site, idle.name) == 201
    for node in nodes:
        site.api.delete(node)
