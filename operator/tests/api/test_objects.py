"""Objects of the API server as values, and pods as objects."""

from datetime import timedelta
from typing import Any

import pytest
from odeon_operator.api.objects import KubeObjects
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.reports import Metric
from odeon_operator.ports import PoolFacts

OBJECTS = KubeObjects()


def pool(kind: str = "TranscoderPool", **spec: object) -> dict[str, Any]:
    carries = {"slotsPerPod": 2} if kind == "TranscoderPool" else {"viewersPerPod": 100}
    template = {
        "metadata": {"labels": {"app": "odeon"}, "annotations": {"note": "kept"}},
        "spec": {"containers": [{"name": "main", "env": [{"name": "A", "value": "1"}]}]},
    }
    return {
        "kind": kind,
        "metadata": {"name": "main", "namespace": "live", "uid": "u", "generation": 4},
        "spec": {"maxReplicas": 3, "template": template, **carries, **spec},
    }


def event(name: str, *, tenant: str = "acme", **more: object) -> dict[str, Any]:
    labels = more.pop("labels", {})
    return {
        "metadata": {"name": name, "namespace": "live", "labels": labels},
        "spec": {
            "tenantRef": {"name": tenant},
            "start": "2026-05-04T12:00:00Z",
            "end": "2026-05-04T13:00:00Z",
            "expected": {"transcodes": [{"profile": "hd", "count": 3}], "viewers": {"p95": 70}},
            **more,
        },
    }


def read(
    raw: dict[str, Any],
    policy: dict[str, Any] | None = None,
    events: tuple[dict[str, Any], ...] = (),
) -> PoolFacts:
    named = {"p": {"metadata": {"name": "p"}, "spec": policy}} if policy is not None else {}
    return OBJECTS.pool(raw, named, events)


def pod(**status: object) -> dict[str, Any]:
    return {
        "metadata": {
            "name": "main-v-3",
            "namespace": "live",
            "uid": "p",
            "resourceVersion": "7",
            "creationTimestamp": "2026-05-04T12:00:00Z",
            "labels": {"odeon.live/index": "3", "odeon.live/state": "allocated"},
            "ownerReferences": [{"uid": "u", "controller": True}],
        },
        "spec": {"nodeName": "n"},
        "status": status,
    }


def waits(reason: str) -> dict[str, Any]:
    return {"containerStatuses": [{"state": {"waiting": {"reason": reason}}}]}


def test_a_pool_is_read_with_its_policy_and_what_its_jobs_cost() -> None:
    raw = pool(policyRef={"name": "p"}, profiles=[{"name": "hd", "cost": 2}], replicas=5)
    raw["replicasWriter"] = "kubectl"

    facts = read(raw, {"buffer": "20%"}, (event("gala"),))

    assert facts.problem == ""
    assert facts.policy is not None
    assert (facts.generation, str(facts.policy.buffer)) == (4, "20%")
    assert (facts.scale.replicas, facts.scale.writer) == (5, "kubectl")
    (booking,) = facts.bookings
    assert booking.expected[Metric.ACTIVE_TRANSCODES] == 6
    assert facts.patience == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (pool(minReplicas=9), "spec: minReplicas is above maxReplicas"),
        (pool(template=None), "spec.template: is missing: no pod can start"),
        (pool(policyRef={"name": "x"}), "spec.policyRef.name: ScalingPolicy x is missing"),
        (pool(policyRef={"name": "p"}), "spec.policyRef: ScalingPolicy p: spec.buffer"),
    ],
)
def test_what_is_wrong_with_a_pool_is_said_with_the_field(
    raw: dict[str, Any], problem: str
) -> None:
    facts = read(raw, {"buffer": True})

    assert facts.pool is None
    assert facts.problem.startswith(problem)


def test_bookings_go_to_the_pools_of_their_region_tenant_and_selector() -> None:
    events = (
        event("anywhere"),
        event("north", regions=["north"]),
        event("south", regions=["south"]),
        event("other", tenant="other"),
        event("gold", labels={"tier": "gold"}),
        {"metadata": {"name": "broken", "namespace": "live"}, "spec": {}},
    )

    def served(policy: dict[str, Any], **spec: object) -> list[str]:
        raw = pool("EdgePool", policyRef={"name": "p"}, **spec)
        return [b.name for b in read(raw, policy, events).bookings]

    gold = {"events": {"selector": {"matchLabels": {"tier": "gold"}}}}
    poor = {"key": "tier", "operator": "DoesNotExist"}
    others = {"events": {"selector": {"matchExpressions": [poor]}}}
    assert served({}, region="north") == ["anywhere", "gold", "north", "other"]
    assert served({}, tenantRef={"name": "other"}) == ["other"]
    assert served(gold) == ["gold"]
    assert served(others, region="south") == ["anywhere", "other", "south"]


def test_a_pod_says_its_place_its_state_and_who_owns_it() -> None:
    facts = OBJECTS.pod(pod(phase="Running"))

    assert facts is not None
    assert (facts.index, facts.marked, facts.owner) == (3, PodState.ALLOCATED, "u")
    assert (facts.node, facts.revision, facts.healthy) == ("n", "7", True)


@pytest.mark.parametrize(
    ("status", "healthy", "finished"),
    [
        ({"phase": "Pending"}, True, False),
        ({"phase": "Failed"}, True, True),
        ({"phase": "Succeeded"}, True, True),
        (waits("CrashLoopBackOff"), False, False),
        (waits("ContainerCreating"), True, False),
        ({"conditions": [{"type": "DisruptionTarget", "status": "True"}]}, False, False),
        ({"conditions": [{"type": "Ready", "status": "False"}]}, True, False),
    ],
)
def test_what_a_pods_status_means(status: dict[str, Any], healthy: bool, finished: bool) -> None:
    facts = OBJECTS.pod(pod(**status))

    assert facts is not None
    assert (facts.healthy, facts.finished) == (healthy, finished)
    assert facts.failed == (status.get("phase") == "Failed")


@pytest.mark.parametrize(
    ("states", "why", "ready", "inert"),
    [
        (["waiting"], "CrashLoopBackOff", {}, True),
        (["waiting"], "ContainerCreating", {}, True),
        (["waiting", "running"], "CrashLoopBackOff", {}, False),
        ([], "", {}, False),
        (["waiting"], "CrashLoopBackOff", {"status": "Unknown"}, False),
        (["waiting"], "CrashLoopBackOff", {"status": "False", "reason": "NodeNotReady"}, False),
    ],
)
def test_nothing_runs_in_a_pod_whose_containers_all_wait_on_a_node_that_is_heard_of(
    states: list[str], why: str, ready: dict[str, str], inert: bool
) -> None:
    containers = [{"state": {state: {"reason": why}}} for state in states]
    raw = pod(containerStatuses=containers, conditions=[{"type": "Ready", **ready}])

    facts = OBJECTS.pod(raw)

    assert facts is not None
    assert facts.inert == inert


def test_an_update_strategy_is_read_as_numbers_or_percentages() -> None:
    read_pool = read(pool(updateStrategy={"maxSurge": 2, "maxUnavailableIdle": "50%"})).pool

    assert read_pool is not None
    assert (read_pool.update.surge(8), read_pool.update.idle(8)) == (2, 4)
    assert read(pool(updateStrategy={"maxSurge": "many"})).problem.startswith(
        "spec.updateStrategy.maxSurge"
    )


def test_a_pod_of_somebody_else_is_none_of_ours() -> None:
    orphan, plain = pod(), pod()
    del orphan["metadata"]["ownerReferences"]
    plain["metadata"]["labels"] = {}

    assert OBJECTS.pod(orphan) is None
    assert OBJECTS.pod(plain) is None


def test_a_created_pod_is_of_its_template_and_knows_who_it_is() -> None:
    raw = pool(gpu={"count": 2})
    facts = read(raw)
    assert facts.pool is not None

    body = OBJECTS.pod_body(raw, facts, 3)

    meta, (container,) = body["metadata"], body["spec"]["containers"]
    assert meta["name"] == f"main-{facts.pool.version}-3"
    assert meta["labels"] == {
        "app": "odeon",
        "odeon.live/pool": "main",
        "odeon.live/kind": "transcoderpool",
        "odeon.live/index": "3",
        "odeon.live/version": facts.pool.version,
        "odeon.live/state": "starting",
    }
    assert meta["annotations"] == {"note": "kept"}
    assert [e["name"] for e in container["env"]] == [
        "A",
        "ODEON_POOL",
        "ODEON_POD_NAME",
        "ODEON_POD_UID",
    ]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": "2"}
    (owner,) = meta["ownerReferences"]
    assert (owner["uid"], owner["controller"]) == ("u", True)
    assert "finalizers" not in meta


def test_another_template_is_another_version_and_nothing_else_is() -> None:
    def version(raw: dict[str, Any]) -> str:
        found = read(raw).pool
        assert found is not None
        return found.version

    changed = pool()
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "newer"

    assert version(pool()) == version(pool(maxReplicas=9))
    assert version(pool()) != version(changed)
    assert version(pool()) != version(pool(gpu={"count": 1}))


def test_a_node_offers_gpus_only_while_pods_can_go_there() -> None:
    ready = {"type": "Ready", "status": "True"}
    raw: dict[str, Any] = {
        "metadata": {"name": "n"},
        "spec": {},
        "status": {"allocatable": {"cpu": "4", "nvidia.com/gpu": "8"}, "conditions": [ready]},
    }

    assert OBJECTS.node(raw).gpus == {"nvidia.com/gpu": 8}
    assert OBJECTS.node(raw).usable
    assert not OBJECTS.node({**raw, "spec": {"unschedulable": True}}).usable
    lost = {"taints": [{"key": "node.kubernetes.io/unreachable"}]}
    assert not OBJECTS.node({**raw, "spec": lost}).usable
    assert not OBJECTS.node({**raw, "status": {}}).usable
