"""The whole operator against a real API server and a real NATS, with the real agent in its pods."""

from odeon_testkit.operated_site import Site


async def test_a_pool_gets_its_pods_and_says_so(site: Site) -> None:
    site.make_pool(minReplicas=3)
    site.operator().start()

    await site.serving(3)

    await site.until(lambda: site.condition("Ready").get("status") == "True")
    status = site.pool()["status"]
    assert (status["desired"]["replicas"], status["desired"]["rule"]) == (3, "minReplicas")
    assert "finalizers" not in site.pool()["metadata"]
    events = f"/apis/events.k8s.io/v1/namespaces/{site.namespace}/events"
    await site.until(lambda: bool(site.api.get(events)["items"]))
    told = {e["reason"]: e for e in site.api.get(events)["items"]}
    assert "main wants 3 pods" in told["ScaledOut"]["note"]
    assert told["ScaledOut"]["regarding"]["uid"] == site.pool()["metadata"]["uid"]


async def test_an_idle_pod_is_drained_by_its_agent_and_then_deleted_a_busy_one_stays(
    site: Site,
) -> None:
    site.make_pool(minReplicas=3)
    site.operator().start()
    await site.serving(3)
    busy = next(iter(site.kubelet.running.values()))
    assert await busy.claim()
    await site.until(lambda: site.states() == ["allocated", "ready", "ready"])

    # One pod of load, and one free beside it.
    site.set_pool(minReplicas=0)
    await site.serving(2)

    assert busy.name in site.names()
    assert site.kubelet.killed == []
    pods = site.kubelet.pods()
    annotations = {p["metadata"]["name"]: p["metadata"].get("annotations", {}) for p in pods}
    assert annotations[busy.name]["karpenter.sh/do-not-disrupt"] == "true"


async def test_a_new_template_replaces_idle_pods_and_leaves_a_job_where_it_is(site: Site) -> None:
    site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    old = site.uids()
    busy = next(iter(site.kubelet.running.values()))
    assert await busy.claim()
    await site.until(lambda: "allocated" in site.states())

    spec = {"containers": [{"name": "main", "image": "odeon.invalid/sim:2"}]}
    site.set_pool(template={"spec": spec})
    await site.until(lambda: site.uids() & old == {busy.uid}, timeout_s=40)

    await site.until(lambda: site.condition("Progressing").get("reason") == "OldPodsFinish")
    assert site.kubelet.killed == []
    busy.finish()
    await site.until(lambda: not site.uids() & old)
    await site.until(lambda: site.condition("Progressing").get("reason") == "Updated")
    assert (site.pool()["status"]["updated"], site.pool()["status"]["outdated"]) == (2, 0)


async def test_a_template_that_crashes_costs_no_pod_and_going_back_clears_it_away(
    site: Site,
) -> None:
    made = site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    old, good = site.uids(), made["spec"]["template"]
    site.kubelet.bad_image = "odeon.invalid/bad"

    spec = {"containers": [{"name": "main", "image": site.kubelet.bad_image}]}
    site.set_pool(template={"spec": spec})
    await site.until(lambda: site.condition("Progressing").get("reason") == "NewPodsFail")

    assert old < site.uids()
    assert "conditions#progressing" in site.condition("Progressing")["message"]
    site.set_pool(template=good)
    await site.until(lambda: site.uids() == old)
    await site.until(lambda: site.condition("Progressing").get("reason") == "Updated")


async def test_nothing_but_the_lease_is_written_while_nothing_changes(site: Site) -> None:
    site.make_pool(minReplicas=3)
    site.operator().start()
    await site.serving(3)
    await site.until(lambda: site.condition("Ready").get("status") == "True")
    before = -1
    while before != len(site.writes()):
        before = len(site.writes())
        await site.renewals(5)

    # Several looks and a resync.
    await site.renewals(12)

    assert len(site.writes()) == before


async def test_a_foreign_writer_on_replicas_is_named_and_not_followed(site: Site) -> None:
    site.make_pool(minReplicas=1)
    site.operator().start()
    await site.serving(1)

    site.api.patch(site.pool(), {"spec": {"replicas": 7}}, subresource="/scale")

    await site.until(lambda: site.condition("ForeignWriter").get("status") == "True")
    assert "wrote spec.replicas" in site.condition("ForeignWriter")["message"]
    assert len(site.names()) == 1


async def test_a_status_edited_by_hand_is_put_right(site: Site) -> None:
    site.make_pool(minReplicas=1)
    site.operator().start()
    await site.serving(1)
    await site.until(lambda: site.pool().get("status", {}).get("ready") == 1)

    site.api.patch(site.pool(), {"status": {"ready": 40}}, subresource="/status")

    await site.until(lambda: site.pool()["status"]["ready"] == 1)
    await site.until(lambda: site.condition("ForeignWriter").get("status") == "True")


async def test_a_policy_that_is_missing_is_a_condition_and_its_coming_is_seen(site: Site) -> None:
    site.make_pool(minReplicas=1, policyRef={"name": "late"})
    site.operator().start()
    await site.until(lambda: site.condition("Ready").get("reason") == "InvalidSpec")
    assert site.names() == []

    site.make_policy("late")

    await site.serving(1)


async def test_a_pool_that_is_deleted_takes_its_pods_along_and_comes_back_new(site: Site) -> None:
    site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    before = set(site.kubelet.running)

    site.api.delete(site.pool())
    await site.until(lambda: site.names() == [])
    site.make_pool(minReplicas=1)

    await site.serving(1)
    assert before.isdisjoint(site.kubelet.running)


async def test_a_pod_that_is_deleted_behind_the_operators_back_is_replaced(site: Site) -> None:
    site.make_pool(minReplicas=2)
    site.operator().start()
    await site.serving(2)
    gone = site.kubelet.pods()[0]

    site.api.delete(gone)

    await site.until(lambda: gone["metadata"]["uid"] not in site.uids())
    await site.serving(2)
