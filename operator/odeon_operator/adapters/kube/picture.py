"""The operator's picture of the cluster: what events and lists said, as values, the newest wins.

kopf's own indexes cannot forget what vanished between two of its lists, so the picture is ours:
events keep it current and a list every 30 s makes it whole. An object is replaced only by a newer
version of itself; since Kubernetes 1.35 resourceVersions may be compared (KEP-5504). A uid that was
seen to be deleted never comes back.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from odeon_operator.adapters.kube.client import Object
from odeon_operator.domain.nodes import Node, free_pods, notice
from odeon_operator.domain.projecting import Places
from odeon_operator.domain.sight import PodFacts
from odeon_operator.domain.status import PoolStatus
from odeon_operator.ports import PoolFacts, PoolRef

POD, NODE, POLICY, EVENT, TENANT = "Pod", "Node", "ScalingPolicy", "LiveEvent", "Tenant"
POOLS = ("TranscoderPool", "EdgePool")


class Objects(Protocol):
    """Turns the API server's objects into values and back."""

    def pool(
        self, raw: Object, policies: Mapping[str, Object], events: Sequence[Object]
    ) -> PoolFacts:
        """A pool with the policies by name, and the bookings, of its namespace."""
        ...

    def pod(self, raw: Object) -> PodFacts | None:
        """A pool's pod; None for any other."""
        ...

    def gpus(self, raw: Object) -> tuple[str, int]:
        """Name and number of the GPUs that each pod of a pool takes."""
        ...

    def node(self, raw: Object) -> Node:
        """A node."""
        ...

    def pod_body(self, raw: Object, facts: PoolFacts, index: int) -> Object:
        """The pod of this place, to be created."""
        ...

    def status_body(self, kind: str, status: PoolStatus) -> Object:
        """A pool's status as its resource has it."""
        ...

    def status(self, raw: Object) -> PoolStatus | None:
        """A pool's status as it stands."""
        ...


@dataclass(slots=True)
class _Shelf:
    """Objects of one kind by uid: version, and what is kept of them."""

    kept: dict[str, tuple[int, Any]] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    gone_before: set[str] = field(default_factory=set)


class Picture:
    """What is known now.

    Args:
        objects: reads them.
        concerns: called with a pool whenever something that concerns it changed, bookings apart.
    """

    def __init__(self, objects: Objects, concerns: Callable[[PoolRef], None]) -> None:
        self._objects = objects
        self._concerns = concerns
        self._shelves = {kind: _Shelf() for kind in (POD, NODE, POLICY, EVENT, TENANT, *POOLS)}
        self._by_owner: dict[str, dict[str, PodFacts]] = {}
        self._pools: dict[PoolRef, Object] = {}
        self._read: dict[PoolRef, PoolFacts] = {}
        self._refs: dict[str, PoolRef] = {}
        self._nodes: dict[str, Node] = {}

    def put(self, kind: str, raw: Object) -> None:
        """An object was seen; an older version than is known changes nothing."""
        meta = raw["metadata"]
        uid, version, shelf = meta["uid"], int(meta["resourceVersion"]), self._shelves[kind]
        if uid in shelf.gone or uid in shelf.gone_before:
            return
        if uid in shelf.kept and shelf.kept[uid][0] >= version:
            return
        kept = self._kept(kind, raw)
        before = shelf.kept.get(uid)
        shelf.kept[uid] = (version, kept)
        if kept is not None and (before is None or _is_news(kind, before[1], kept)):
            self._changed(kind, uid, kept)

    def drop(self, kind: str, uid: str) -> None:
        """An object was deleted."""
        shelf = self._shelves[kind]
        shelf.gone.add(uid)
        kept = shelf.kept.pop(uid, None)
        if kept is not None and kept[1] is not None:
            self._vanished(kind, uid, kept[1])

    def whole(self, kind: str, seen: Collection[str], known_before: Collection[str]) -> None:
        """A list was read to its end: what was known when it began and is not in it is gone."""
        for uid in set(known_before) - set(seen):
            if uid in self._shelves[kind].kept:
                self.drop(kind, uid)
        shelf = self._shelves[kind]
        # An event may be on its way for as long as a list takes, not for two.
        shelf.gone_before, shelf.gone = shelf.gone, set()

    def known(self, kind: str) -> Collection[str]:
        """Uids of one kind."""
        return list(self._shelves[kind].kept)

    def pools(self) -> Collection[PoolRef]:
        """All pools."""
        return list(self._pools)

    def pool(self, ref: PoolRef) -> PoolFacts | None:
        """One pool, joined with its policy and bookings."""
        raw = self._pools.get(ref)
        if raw is None:
            return None
        if ref not in self._read:
            self._read[ref] = self._joined(ref, raw)
        return self._read[ref]

    def _joined(self, ref: PoolRef, raw: Object) -> PoolFacts:
        here, places = ref.namespace, Places(ref.namespace, self.tenants())
        events = [e for e in self._in(EVENT, here) if places.admits(_tenant(e), here)]
        facts = self._objects.pool(raw, self._named(POLICY, here), events)
        tenant = _tenant(raw)
        if tenant and not places.admits(tenant, here):
            problem = f"spec.tenantRef: namespace {here} is not one of tenant {tenant}"
            return replace(facts, pool=None, policy=None, problem=problem)
        return facts

    def events(self) -> Sequence[Object]:
        """All LiveEvents as the API server has them."""
        return [raw for _, raw in self._shelves[EVENT].kept.values()]

    def event(self, uid: str) -> Object | None:
        """One of them."""
        kept = self._shelves[EVENT].kept.get(uid)
        return kept[1] if kept is not None else None

    def tenants(self) -> Mapping[str, Sequence[str]]:
        """Namespaces by tenant."""
        kept = [raw for _, raw in self._shelves[TENANT].kept.values()]
        return {
            raw["metadata"]["name"]: (raw.get("spec") or {}).get("namespaces") or () for raw in kept
        }

    def raw_pool(self, ref: PoolRef) -> Object | None:
        """One pool as the API server has it."""
        return self._pools.get(ref)

    def pods(self, owner: str) -> Sequence[PodFacts]:
        """Pods of one owner, by index, with what their nodes mean for them."""
        owned = self._by_owner.get(owner, {}).values()
        return sorted((self._noticed(p) for p in owned), key=lambda p: (p.index, p.uid))

    def _noticed(self, pod: PodFacts) -> PodFacts:
        node = self._nodes.get(pod.node)
        told = notice(node, pod.tolerations) if node is not None else None
        return replace(pod, notice=told) if told is not None else pod

    def alive(self) -> Collection[str]:
        """Uids of all pods."""
        return {uid for pods in self._by_owner.values() for uid in pods}

    def owner_of(self, pod_uid: str) -> PoolRef | None:
        """The pool that a pod belongs to."""
        kept = self._shelves[POD].kept.get(pod_uid)
        return self._refs.get(kept[1].owner) if kept is not None and kept[1] is not None else None

    def free(self, pool: PoolFacts) -> int | None:
        """Pods of a pool that nodes could take at once by their GPUs."""
        raw = self._pools.get(pool.ref)
        if raw is None:
            return None
        resource, per_pod = self._objects.gpus(raw)
        nodes = [node for _, node in self._shelves[NODE].kept.values()]
        return free_pods(nodes, resource, per_pod, self._in_use(resource))

    def _in_use(self, resource: str) -> Mapping[str, int]:
        used: dict[str, int] = {}
        for raw in self._pools.values():
            name, per_pod = self._objects.gpus(raw)
            if name != resource or not per_pod:
                continue
            for pod in self._by_owner.get(raw["metadata"]["uid"], {}).values():
                if pod.node and not pod.finished:
                    used[pod.node] = used.get(pod.node, 0) + per_pod
        return used

    def _kept(self, kind: str, raw: Object) -> Any:
        if kind == POD:
            return self._objects.pod(raw)
        return self._objects.node(raw) if kind == NODE else _without_bulk(kind, raw)

    def _changed(self, kind: str, uid: str, kept: Any) -> None:
        if kind == NODE:
            self._nodes[kept.name] = kept
            self._tell_pods_on(kept.name)
        elif kind == POD:
            self._by_owner.setdefault(kept.owner, {})[uid] = kept
            self._tell(self._refs.get(kept.owner))
        elif kind in POOLS:
            ref = _ref(kind, kept)
            self._pools[ref], self._refs[uid] = kept, ref
            self._read.pop(ref, None)
            self._tell(ref)
        elif kind in (POLICY, EVENT):
            self._all_in(kind, kept["metadata"]["namespace"])
        elif kind == TENANT:
            self._everywhere()

    def _vanished(self, kind: str, uid: str, kept: Any) -> None:
        if kind == NODE:
            self._nodes.pop(kept.name, None)
        elif kind == POD:
            owned = self._by_owner.get(kept.owner, {})
            owned.pop(uid, None)
            if not owned:
                self._by_owner.pop(kept.owner, None)
            self._tell(self._refs.get(kept.owner))
        elif kind in POOLS:
            ref = _ref(kind, kept)
            self._refs.pop(uid, None)
            # One of the same name may have been made since.
            if self._pools.get(ref, {}).get("metadata", {}).get("uid") == uid:
                del self._pools[ref]
                self._read.pop(ref, None)
            self._tell(ref)
        elif kind in (POLICY, EVENT):
            self._all_in(kind, kept["metadata"]["namespace"])
        elif kind == TENANT:
            self._everywhere()

    def _everywhere(self) -> None:
        for ref in self._pools:
            self._read.pop(ref, None)
            self._tell(ref)

    def _tell_pods_on(self, node: str) -> None:
        for owner, pods in self._by_owner.items():
            if any(pod.node == node for pod in pods.values()):
                self._tell(self._refs.get(owner))

    def _all_in(self, kind: str, namespace: str) -> None:
        for ref in self._pools:
            if ref.namespace != namespace:
                continue
            self._read.pop(ref, None)
            # Bookings come by the thousand and begin in minutes at the soonest: the next look that
            # is due anyhow will do.
            if kind != EVENT:
                self._tell(ref)

    def _tell(self, ref: PoolRef | None) -> None:
        if ref is not None:
            self._concerns(ref)

    def _in(self, kind: str, namespace: str) -> list[Object]:
        kept: Iterable[tuple[int, Object]] = self._shelves[kind].kept.values()
        return [raw for _, raw in kept if raw["metadata"].get("namespace") == namespace]

    def _named(self, kind: str, namespace: str) -> dict[str, Object]:
        return {raw["metadata"]["name"]: raw for raw in self._in(kind, namespace)}


def _ref(kind: str, raw: Object) -> PoolRef:
    return PoolRef(kind, raw["metadata"]["namespace"], raw["metadata"]["name"])


def _is_news(kind: str, before: Any, kept: Any) -> bool:
    """Whether it concerns pools. Of an event only what it asks for does, and what it used."""
    if kind != EVENT or before is None:
        return bool(before != kept)
    return _asked(before) != _asked(kept)


def _asked(event: Object) -> tuple[Any, ...]:
    status = event.get("status") or {}
    return event.get("spec"), event["metadata"].get("labels"), status.get("actualPeak")


def _tenant(raw: Object) -> str:
    return str(((raw.get("spec") or {}).get("tenantRef") or {}).get("name") or "")


def _without_bulk(kind: str, raw: Object) -> Object:
    """Without what changes with every write and says nothing, but for who wrote `replicas`."""
    meta = {k: v for k, v in raw["metadata"].items() if k != "managedFields"}
    writers = [
        entry.get("manager", "")
        for entry in raw["metadata"].get("managedFields") or []
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {})
    ]
    return {**raw, "kind": kind, "metadata": meta, "replicasWriter": ", ".join(writers)}
