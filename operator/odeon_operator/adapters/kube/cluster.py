"""`ports.Cluster` over the picture and the REST client."""

from collections.abc import Collection, Sequence

from odeon_operator.adapters.kube.client import KubeClient
from odeon_operator.adapters.kube.picture import NODE, POD, POOLS, TENANT, Objects, Picture
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.sight import PodFacts
from odeon_operator.domain.status import PoolStatus
from odeon_operator.ports import NameTaken, Outdated, PoolFacts, PoolRef, Refused

GROUP = "/apis/odeon.live/v1alpha1"
STATE_LABEL = "odeon.live/state"
POOL_LABEL = "odeon.live/pool"
PLURALS = {
    "TranscoderPool": "transcoderpools",
    "EdgePool": "edgepools",
    "ScalingPolicy": "scalingpolicies",
    "LiveEvent": "liveevents",
    "Tenant": "tenants",
}
_LIVE = (PodState.ALLOCATED, PodState.DRAINING)
# Both are honoured by autoscalers of nodes; a pod that holds nothing may be moved.
_STAY = {
    "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
    "karpenter.sh/do-not-disrupt": "true",
}


class KubeCluster:
    """The API server: reads from the picture, writes with preconditions.

    Every answer to a write goes into the picture at once, so that the next look sees it.

    Args:
        namespace: watched alone; empty: all.
    """

    def __init__(
        self, client: KubeClient, picture: Picture, objects: Objects, *, namespace: str = ""
    ) -> None:
        self._client = client
        self._picture = picture
        self._objects = objects
        self._namespace = namespace

    def pools(self) -> Collection[PoolRef]:
        """See `ports.Cluster`."""
        return self._picture.pools()

    def pool(self, ref: PoolRef) -> PoolFacts | None:
        """See `ports.Cluster`."""
        return self._picture.pool(ref)

    def pods(self, owner: str) -> Sequence[PodFacts]:
        """See `ports.Cluster`."""
        return self._picture.pods(owner)

    def alive(self) -> Collection[str]:
        """See `ports.Cluster`."""
        return self._picture.alive()

    def free(self, pool: PoolFacts) -> int | None:
        """See `ports.Cluster`."""
        return self._picture.free(pool)

    async def create_pod(self, pool: PoolFacts, index: int) -> PodFacts:
        """See `ports.Cluster`."""
        raw = self._picture.raw_pool(pool.ref)
        if raw is None:
            raise Outdated(pool.ref.name)
        body = self._objects.pod_body(raw, pool, index)
        path = f"/api/v1/namespaces/{pool.ref.namespace}/pods"
        try:
            made = await self._client.post(path, body)
        except Outdated:
            # Also a 404 of the namespace comes here, and then from the reading too.
            made = await self._client.get(f"{path}/{body['metadata']['name']}")
        facts = self._objects.pod(made)
        if facts is None or facts.owner != pool.uid:
            name = body["metadata"]["name"]
            raise NameTaken(f"pod {name} exists and is not of this pool")
        self._picture.put(POD, made)
        return facts

    async def delete_pod(self, pod: PodFacts) -> None:
        """See `ports.Cluster`."""
        path = _path(pod)
        try:
            left = await self._client.delete(path, uid=pod.uid, revision=pod.revision)
        except Outdated:
            if await self._exists(pod):
                raise
            self._picture.drop(POD, pod.uid)
            return
        if left.get("kind") == POD and left["metadata"].get("deletionGracePeriodSeconds"):
            self._picture.put(POD, left)
        else:
            self._picture.drop(POD, pod.uid)

    async def mark_pod(self, pod: PodFacts, state: PodState) -> PodFacts:
        """See `ports.Cluster`."""
        stays = state in _LIVE
        change = {
            "uid": pod.uid,
            "resourceVersion": pod.revision,
            "labels": {STATE_LABEL: state.value},
            "annotations": {key: value if stays else None for key, value in _STAY.items()},
        }
        try:
            marked = await self._client.merge(_path(pod), {"metadata": change})
        except Outdated:
            # Its event may be late: the next look shall see what it is now.
            if not await self._exists(pod):
                self._picture.drop(POD, pod.uid)
            raise
        self._picture.put(POD, marked)
        facts = self._objects.pod(marked)
        if facts is None:
            raise Outdated(pod.name)
        return facts

    async def write_status(self, pool: PoolFacts, status: PoolStatus) -> PoolStatus | None:
        """See `ports.Cluster`."""
        ref = pool.ref
        path = f"{GROUP}/namespaces/{ref.namespace}/{PLURALS[ref.kind]}/{ref.name}/status"
        body = self._objects.status_body(ref.kind, status)
        # The uid makes it this pool and not a later one of the same name.
        change = {"metadata": {"uid": pool.uid}, "status": body}
        written = await self._client.merge(path, change)
        self._picture.put(ref.kind, written)
        return self._objects.status({**written, "kind": ref.kind})

    async def make_whole(self) -> None:
        """Read everything; afterwards the picture holds what stood when this began, or newer.

        Raises:
            Unreachable: the API server does not answer; what was read until then counts.
        """
        for kind in (NODE, *PLURALS, POD):
            known = self._picture.known(kind)
            seen: set[str] = set()
            try:
                async for page in self._client.pages(self._list(kind), selector=_selector(kind)):
                    for raw in page:
                        seen.add(raw["metadata"]["uid"])
                        self._picture.put(kind, raw)
            except (Outdated, Refused):
                # The kind is not there yet, or the list grew too old while it was read.
                if kind in POOLS or kind == POD:
                    raise
                continue
            self._picture.whole(kind, seen, known)

    def _list(self, kind: str) -> str:
        if kind == NODE:
            return "/api/v1/nodes"
        if kind == TENANT:
            return f"{GROUP}/{PLURALS[kind]}"
        inside = f"/namespaces/{self._namespace}" if self._namespace else ""
        return f"/api/v1{inside}/pods" if kind == POD else f"{GROUP}{inside}/{PLURALS[kind]}"

    async def _exists(self, pod: PodFacts) -> bool:
        try:
            found = await self._client.get(_path(pod))
        except Outdated:
            return False
        if found["metadata"]["uid"] != pod.uid:
            return False
        self._picture.put(POD, found)
        return True


def _path(pod: PodFacts) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"


def _selector(kind: str) -> str:
    return POOL_LABEL if kind == POD else ""
