"""What is known when events are late, doubled, out of order or missing."""

from typing import Any

from odeon_operator.adapters.kube.picture import NODE, POD, POLICY, Picture
from odeon_operator.api.objects import KubeObjects
from odeon_operator.ports import PoolRef

REF = PoolRef("TranscoderPool", "live", "main")


def pool(version: int = 1, **spec: object) -> dict[str, Any]:
    template = {"spec": {"containers": [{"name": "main"}]}}
    return {
        "metadata": {
            "name": "main",
            "namespace": "live",
            "uid": "pool",
            "resourceVersion": str(version),
            "generation": 1,
        },
        "spec": {"maxReplicas": 3, "slotsPerPod": 2, "template": template, **spec},
    }


def pod(uid: str, version: int, *, state: str = "ready", owner: str = "pool") -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"main-v1-{uid}",
            "namespace": "live",
            "uid": uid,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-05-04T12:00:00Z",
            "labels": {"odeon.live/index": "0", "odeon.live/state": state},
            "ownerReferences": [{"uid": owner, "controller": True}],
        }
    }


class Seen:
    def __init__(self) -> None:
        self.told: list[PoolRef] = []
        self.picture = Picture(KubeObjects(), self.told.append)
        self.picture.put("TranscoderPool", pool())

    def pods(self) -> list[tuple[str, str | None]]:
        return [(p.uid, p.marked) for p in self.picture.pods("pool")]


def test_an_older_version_changes_nothing_however_late_it_comes() -> None:
    seen = Seen()
    seen.picture.put(POD, pod("a", 9, state="draining"))

    seen.picture.put(POD, pod("a", 10))
    seen.picture.put(POD, pod("a", 9, state="draining"))

    assert seen.pods() == [("a", "ready")]


def test_what_was_deleted_does_not_come_back_with_a_list_that_began_before() -> None:
    seen = Seen()
    seen.picture.put(POD, pod("a", 9))
    known = seen.picture.known(POD)
    seen.picture.drop(POD, "a")

    seen.picture.put(POD, pod("a", 9))
    seen.picture.whole(POD, {"a"}, known)
    seen.picture.put(POD, pod("a", 11))

    assert seen.pods() == []


def test_a_list_forgets_what_is_not_in_it_but_not_what_came_while_it_was_read() -> None:
    seen = Seen()
    seen.picture.put(POD, pod("gone", 5))
    seen.picture.put(POD, pod("stays", 6))
    known = seen.picture.known(POD)
    seen.picture.put(POD, pod("new", 9))

    seen.picture.whole(POD, {"stays"}, known)

    assert [uid for uid, _ in seen.pods()] == ["new", "stays"]
    assert set(seen.picture.alive()) == {"new", "stays"}


def test_tombstones_are_not_kept_for_ever() -> None:
    seen = Seen()
    for n in range(50):
        seen.picture.put(POD, pod(f"p{n}", n + 1))
        seen.picture.drop(POD, f"p{n}")
    for _ in range(2):
        seen.picture.whole(POD, (), ())

    shelf = seen.picture._shelves[POD]
    assert (len(shelf.gone), len(shelf.gone_before), len(shelf.kept)) == (0, 0, 0)


def test_a_pod_concerns_its_pool_and_a_policy_all_pools_of_its_namespace() -> None:
    seen = Seen()
    seen.told.clear()

    seen.picture.put(POD, pod("a", 2))
    seen.picture.put(POD, pod("b", 3, owner="another"))
    assert seen.told == [REF]

    meta = {"name": "night", "namespace": "live", "uid": "n", "resourceVersion": "4"}
    seen.picture.put(POLICY, {"metadata": meta, "spec": {}})
    assert seen.told == [REF, REF]
    assert seen.picture.owner_of("a") == REF
    assert seen.picture.owner_of("b") is None


def test_a_pool_is_read_anew_when_its_policy_changes() -> None:
    seen = Seen()
    seen.picture.put("TranscoderPool", pool(2, policyRef={"name": "night"}))
    assert (before := seen.picture.pool(REF)) is not None
    assert before.problem == "spec.policyRef.name: ScalingPolicy night is missing"

    meta = {"name": "night", "namespace": "live", "uid": "n", "resourceVersion": "4"}
    seen.picture.put(POLICY, {"metadata": meta, "spec": {"buffer": 3}})

    assert (after := seen.picture.pool(REF)) is not None
    assert after.policy is not None
    assert str(after.policy.buffer) == "3"


def test_a_pool_that_was_made_again_is_not_lost_by_the_end_of_the_first() -> None:
    seen = Seen()
    again = pool(9)
    again["metadata"]["uid"] = "second"
    seen.picture.put("TranscoderPool", again)

    seen.picture.drop("TranscoderPool", "pool")

    assert (found := seen.picture.pool(REF)) is not None
    assert found.uid == "second"
    assert list(seen.picture.pools()) == [REF]


def test_a_cordon_concerns_the_pools_with_pods_on_that_node_and_is_known_of_them() -> None:
    seen = Seen()
    here = pod("a", 5)
    here["spec"] = {"nodeName": "n1", "tolerations": [{"key": "gpu", "operator": "Exists"}]}
    seen.picture.put(POD, here)
    seen.picture.put(POD, pod("b", 6))
    taint = {"key": "gpu", "effect": "NoSchedule"}
    node: dict[str, Any] = {"metadata": {"name": "n1", "uid": "n1", "resourceVersion": "7"}}
    seen.picture.put(NODE, {**node, "spec": {"taints": [taint]}})
    assert [p.notice for p in seen.picture.pods("pool")] == [None, None]
    seen.told.clear()

    cordoned = {**node, "metadata": {**node["metadata"], "resourceVersion": "8"}}
    seen.picture.put(NODE, {**cordoned, "spec": {"taints": [taint], "unschedulable": True}})

    assert seen.told == [REF]
    told = {p.uid: p.notice.why if p.notice else None for p in seen.picture.pods("pool")}
    assert told == {"a": "n1 is cordoned", "b": None}
    seen.picture.drop(NODE, "n1")
    assert [p.notice for p in seen.picture.pods("pool")] == [None, None]
