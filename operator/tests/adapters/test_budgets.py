"""Budgets of pools on the real API server: made once, put right, and no more."""

import asyncio

import pytest
from odeon_operator.adapters.kube.budgets import KubeBudgets
from odeon_operator.adapters.kube.client import KubeClient
from odeon_operator.adapters.kube.cluster import KubeCluster
from odeon_operator.adapters.kube.picture import Picture
from odeon_operator.api.objects import KubeObjects
from odeon_operator.usecases.guarding import Guard
from odeon_testkit.fleet import HeldLease
from odeon_testkit.kube.control_plane import ControlPlane
from odeon_testkit.operated import pool_manifest


async def test_each_pool_has_a_budget_that_is_written_only_when_it_is_not_as_it_should_be(
    kubernetes: ControlPlane, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubernetes.kubeconfig))
    path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/main-transcoderpool"
    with kubernetes.api() as api:
        pool = api.create(pool_manifest("main", namespace))
        async with KubeClient() as client:
            objects = KubeObjects()
            cluster = KubeCluster(
                client, Picture(objects, lambda _: None), objects, namespace=namespace
            )
            await cluster.make_whole()
            budgets = KubeBudgets(client, namespace=namespace)
            guard = Guard(cluster, budgets, HeldLease(), every_s=1, resync_s=1)

            await guard.look(afresh=True)
            made = await asyncio.to_thread(api.get, path)
            await guard.look(afresh=True)
            again = await asyncio.to_thread(api.get, path)
            budget = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", **again}
            await asyncio.to_thread(api.patch, budget, {"spec": {"minAvailable": 1}})
            await guard.look(afresh=True)
            righted = await asyncio.to_thread(api.get, path)

    assert made["metadata"]["ownerReferences"][0]["uid"] == pool["metadata"]["uid"]
    assert again["metadata"]["generation"] == made["metadata"]["generation"] == 1
    assert righted["spec"] == made["spec"]
    assert made["spec"]["minAvailable"] == 2147483647
