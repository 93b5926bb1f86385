"""`usecases.statefulsets.StatefulSets` over the REST client.

Read anew at every look: there are a few sets of a few pods each, and a rollout is rare, so a watch
of its own would cost more than it saves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from urllib.parse import urlencode

from odeon_runtime.logs import logger

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.adapters.kube.cluster import STATE_LABEL
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.statefulsets import Member, StatefulSet, Way
from odeon_operator.ports import Reports

ROLLOUT_LABEL = "odeon.live/rollout"
"""`Drain` or `WhenIdle`, on a StatefulSet with `updateStrategy: OnDelete`."""
PATIENCE_ANNOTATION = "odeon.live/rollout-patience-seconds"
"""How long a pod may drain before it is deleted although it is not empty; never unless given."""
_MARKED = "odeon.live/rollout-marked-at"
_VERSION_LABEL = "controller-revision-hash"
_log = logger(__name__)


class KubeStatefulSets:
    """The sets of one namespace, or of all."""

    def __init__(self, client: KubeClient, *, namespace: str = "") -> None:
        self._client = client
        inside = f"/namespaces/{namespace}" if namespace else ""
        self._list = f"/apis/apps/v1{inside}/statefulsets"

    async def read(self, reports: Reports) -> Sequence[StatefulSet]:
        """See `usecases.statefulsets`."""
        found = []
        async for page in self._client.pages(self._list, selector=ROLLOUT_LABEL):
            for raw in page:
                if (one := await self._set(raw, reports)) is not None:
                    found.append(one)
        return found

    async def mark(self, of: StatefulSet, member: Member, *, draining: bool, now: datetime) -> None:
        """See `usecases.statefulsets`."""
        change = {
            "uid": member.uid,
            "resourceVersion": member.revision,
            "labels": {STATE_LABEL: PodState.DRAINING.value if draining else None},
            # The label alone might say so already, and then nothing would change.
            "annotations": {_MARKED: now.isoformat()},
        }
        await self._client.merge(_path(of, member), {"metadata": change})
        _log.info("pod_drains" if draining else "pod_taken_back", pod=member.name, uid=member.uid)

    async def delete(self, of: StatefulSet, member: Member) -> None:
        """See `usecases.statefulsets`."""
        path = _path(of, member)
        await self._client.delete(path, uid=member.uid, revision=member.revision)
        _log.info("pod_deleted", pod=member.name, uid=member.uid, statefulset=of.name)

    async def _set(self, raw: Object, reports: Reports) -> StatefulSet | None:
        """None for a set whose controller has not seen its present template yet."""
        meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
        if status.get("observedGeneration") != meta["generation"] or "deletionTimestamp" in meta:
            return None
        way = meta["labels"][ROLLOUT_LABEL]
        if way not in list(Way) or (spec.get("updateStrategy") or {}).get("type") != "OnDelete":
            return None
        return StatefulSet(
            namespace=meta["namespace"],
            name=meta["name"],
            replicas=spec.get("replicas", 1),
            version=status.get("updateRevision", ""),
            way=Way(way),
            patience=_patience(meta.get("annotations") or {}),
            members=await self._members(raw, reports),
        )

    async def _members(self, raw: Object, reports: Reports) -> tuple[Member, ...]:
        meta = raw["metadata"]
        labels = raw["spec"]["selector"].get("matchLabels") or {}
        query = urlencode({"labelSelector": ",".join(f"{k}={v}" for k, v in labels.items())})
        path = f"/api/v1/namespaces/{meta['namespace']}/pods?{query}"
        pods = (await self._client.get(path)).get("items") or []
        return tuple(_member(pod, reports) for pod in pods if _owned(pod, meta["uid"]))


def _path(of: StatefulSet, member: Member) -> str:
    return f"/api/v1/namespaces/{of.namespace}/pods/{member.name}"


def _owned(pod: Object, uid: str) -> bool:
    return any(o.get("uid") == uid for o in pod["metadata"].get("ownerReferences") or [])


def _member(raw: Object, reports: Reports) -> Member:
    meta, status = raw["metadata"], raw.get("status") or {}
    conditions = {c.get("type"): c.get("status") for c in status.get("conditions") or []}
    uid, labels = meta["uid"], meta.get("labels") or {}
    return Member(
        name=meta["name"],
        ordinal=int(meta["name"].rpartition("-")[2]),
        uid=uid,
        revision=meta["resourceVersion"],
        version=labels.get(_VERSION_LABEL, ""),
        ready=conditions.get("Ready") == "True",
        running=_runs(status),
        leaving="deletionTimestamp" in meta,
        marked=labels.get(STATE_LABEL) == PodState.DRAINING,
        readings=reports.readings(uid),
        drain=reports.drain(uid),
    )


def _runs(status: Object) -> bool:
    """Whether anything may run in it. Of a lost node what its kubelet said last counts."""
    if status.get("phase") in ("Pending", "Failed", "Succeeded"):
        return False
    states = [one.get("state") or {} for one in status.get("containerStatuses") or []]
    return not states or any("running" in state for state in states)


def _patience(annotations: dict[str, str]) -> timedelta | None:
    given = annotations.get(PATIENCE_ANNOTATION, "")
    return timedelta(seconds=int(given)) if given.isdecimal() else None
