"""StatefulSets with OnDelete: the real controller makes pods, the operator says which one goes."""

from typing import Any

from odeon_testkit.kube.api import Object
from odeon_testkit.operated import SimPod
from odeon_testkit.operated_site import Site


def manifest(site: Site, image: str, *, replicas: int, way: str = "Drain") -> Object:
    labels = {"app": "signaling", "odeon.live/pool": "signaling"}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {
            "name": "signaling",
            "namespace": site.namespace,
            "labels": {"odeon.live/rollout": way},
        },
        "spec": {
            "replicas": replicas,
            "serviceName": "signaling",
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "signaling"}},
            "updateStrategy": {"type": "OnDelete"},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "main", "image": f"odeon.invalid/{image}"}]},
            },
        },
    }


def images(site: Site) -> dict[str, str]:
    return {p["metadata"]["name"]: image(p) for p in site.kubelet.pods()}


def image(pod: Object) -> str:
    found: Any = pod["spec"]["containers"][0]["image"]
    return str(found).rpartition("/")[2]


def running(site: Site, name: str) -> SimPod | None:
    return next((p for p in site.kubelet.running.values() if p.name == name), None)


async def started(site: Site, count: int) -> None:
    await site.until(lambda: len(site.kubelet.running) == count)


async def test_a_rollout_takes_the_empty_pod_waits_for_the_busy_one_and_survives_a_kill(
    site: Site,
) -> None:
    site.api.apply(manifest(site, "one", replicas=2))
    await started(site, 2)
    busy = running(site, "signaling-0")
    assert busy is not None
    assert await _claims(site, busy)
    operator = site.operator()
    operator.start()

    site.api.apply(manifest(site, "two", replicas=2))
    await site.until(lambda: images(site).get("signaling-1") == "two")
    # The other one is asked as soon as the new one serves, and refuses what is new.
    await site.until(lambda: busy.agent.closed)
    operator.kill()
    operator.start()
    # A whole round of its looks and readings changes nothing for the event that runs.
    await site.until(lambda: site.labels("signaling-0").get("odeon.live/state") == "draining")
    assert images(site)["signaling-0"] == "one"
    assert not site.kubelet.killed

    busy.finish()
    await site.until(lambda: images(site) == {"signaling-0": "two", "signaling-1": "two"})
    assert not site.kubelet.killed
    await site.until(lambda: not any(p.agent.closed for p in site.kubelet.running.values()))


async def _claims(site: Site, pod: SimPod) -> bool:
    """Until its agent has read that no drain stands, it takes nothing."""
    await site.until(lambda: not pod.agent.closed)
    return await pod.claim()


async def test_the_only_pod_goes_when_its_event_is_over_and_is_asked_nothing(site: Site) -> None:
    site.api.apply(manifest(site, "one", replicas=1, way="WhenIdle"))
    await started(site, 1)
    busy = running(site, "signaling-0")
    assert busy is not None
    assert await _claims(site, busy)
    operator = site.operator()
    operator.start()

    site.api.apply(manifest(site, "two", replicas=1, way="WhenIdle"))
    await site.until(lambda: "it has live or promised work" in operator.log.read_text())
    # It takes the next event as ever.
    assert await busy.claim()
    busy.finish()
    busy.finish()

    await site.until(lambda: images(site) == {"signaling-0": "two"})
    assert not site.kubelet.killed


def media_service(site: Site, pod: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": f"{pod}-media",
            "namespace": site.namespace,
            "labels": {"odeon.live/publish-address": "to-pod"},
        },
        "spec": {
            "type": "LoadBalancer",
            "selector": {"statefulset.kubernetes.io/pod-name": pod},
            "ports": [{"name": "media", "protocol": "UDP", "port": 7882}],
        },
    }


async def test_a_pod_is_told_the_address_of_its_load_balancer_and_its_successor_again(
    site: Site,
) -> None:
    site.api.apply(manifest(site, "one", replicas=1))
    await started(site, 1)
    service = site.api.apply(media_service(site, "signaling-0"))
    site.operator().start()
    # As a cloud's controller does it, some time later.
    found = {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}
    site.api.patch(
        {"apiVersion": "v1", "kind": "Service", **service}, {"status": found}, subresource="/status"
    )

    def told() -> str | None:
        pods = [p["metadata"] for p in site.kubelet.pods()]
        known = [(m.get("annotations") or {}).get("odeon.live/public-address") for m in pods]
        return known[0] if known else None

    await site.until(lambda: told() == "203.0.113.7:7882")
    (first,) = site.uids()
    site.api.delete(site.kubelet.pods()[0])
    await site.until(lambda: bool(site.uids()) and site.uids() != {first})

    await site.until(lambda: told() == "203.0.113.7:7882")
