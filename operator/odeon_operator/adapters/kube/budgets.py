"""`usecases.guarding.Budgets` over the REST client: one PodDisruptionBudget for each pool.

It selects the pods that have work or drain, and lets none of them be evicted. `maxUnavailable: 0`
would do so for pods of a controller with `/scale`; over bare pods the disruption controller counts
wrong (two allocated and one draining: one may be evicted). No pool has `minAvailable` pods, so that
nobody is ever spare.
"""

from collections.abc import Collection
from urllib.parse import urlencode

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.adapters.kube.cluster import POOL_LABEL, STATE_LABEL
from odeon_operator.domain.pods import PodState
from odeon_operator.ports import PoolFacts

_MANAGER = "odeon-operator"
_APPLY = "application/apply-patch+yaml"
_NOBODY_IS_SPARE = 2147483647
_KIND_LABEL = "odeon.live/kind"


class KubeBudgets:
    """The budgets of pools. `namespace`: looked at alone; empty: all."""

    def __init__(self, client: KubeClient, *, namespace: str = "") -> None:
        self._client = client
        inside = f"/namespaces/{namespace}" if namespace else ""
        self._list = f"/apis/policy/v1{inside}/poddisruptionbudgets"

    async def standing(self) -> Collection[str]:
        """See `usecases.guarding`."""
        found: set[str] = set()
        async for page in self._client.pages(self._list, selector=POOL_LABEL):
            for raw in page:
                owners = raw["metadata"].get("ownerReferences") or []
                labels = raw["metadata"].get("labels") or {}
                pool, kind = labels.get(POOL_LABEL, ""), labels.get(_KIND_LABEL, "")
                if _same(raw.get("spec") or {}, _spec(pool, kind)):
                    found.update(owner["uid"] for owner in owners)
        return found

    async def apply(self, pool: PoolFacts) -> None:
        """See `usecases.guarding`."""
        body = budget(pool)
        namespace, name = pool.ref.namespace, body["metadata"]["name"]
        query = urlencode({"fieldManager": _MANAGER, "force": "true"})
        path = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets/{name}?{query}"
        await self._client.request("PATCH", path, body, content_type=_APPLY)


def budget(pool: PoolFacts) -> Object:
    """The budget of a pool, as it is applied."""
    ref, kind = pool.ref, pool.ref.kind.lower()
    owner = {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": ref.kind,
        "name": ref.name,
        "uid": pool.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": f"{ref.name}-{kind}",
            "namespace": ref.namespace,
            "labels": {POOL_LABEL: ref.name, _KIND_LABEL: kind},
            "ownerReferences": [owner],
        },
        "spec": _spec(ref.name, kind),
    }


def _spec(pool: str, kind: str) -> Object:
    live = [PodState.ALLOCATED.value, PodState.DRAINING.value]
    return {
        "minAvailable": _NOBODY_IS_SPARE,
        # An edge that drains is not ready and has viewers: unhealthy pods are protected, too.
        "unhealthyPodEvictionPolicy": "IfHealthyBudget",
        "selector": {
            "matchLabels": {POOL_LABEL: pool, _KIND_LABEL: kind},
            "matchExpressions": [{"key": STATE_LABEL, "operator": "In", "values": live}],
        },
    }


def _same(found: Object, wanted: Object) -> bool:
    return all(found.get(key) == value for key, value in wanted.items())
