"""Objects of the API server become values, and values become objects."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from odeon_runtime.errors import InvalidArgument
from pydantic import ValidationError

from odeon_operator.api import convert, shapes
from odeon_operator.api.events import peak_of
from odeon_operator.api.status import status_body, status_of
from odeon_operator.domain.bookings import Booking
from odeon_operator.domain.nodes import Node, Taint, Toleration
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.policy import Policy
from odeon_operator.domain.sight import PodFacts
from odeon_operator.domain.status import PoolStatus
from odeon_operator.ports import PoolFacts, PoolRef, Scale

Object = dict[str, Any]
LABELS = "odeon.live/"
POOL, KIND, INDEX, VERSION, STATE = (
    LABELS + word for word in ("pool", "kind", "index", "version", "state")
)
_SPECS: dict[str, type[shapes.TranscoderPoolSpec] | type[shapes.EdgePoolSpec]] = {
    "TranscoderPool": shapes.TranscoderPoolSpec,
    "EdgePool": shapes.EdgePoolSpec,
}
_BROKEN = (
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "ImageInspectError",
    "InvalidImageName",
    "CreateContainerError",
    "CreateContainerConfigError",
    "RunContainerError",
)
_LOST = "NodeNotReady"
"""Reason of a pod's Ready condition when its node is not heard of (node lifecycle controller)."""
_MOST_SPECS = 50_000
"""Some 2 KiB each; those of events that are gone stay until then."""
_SICK_NODE = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


class _Specs:
    """Specs of LiveEvents, each read once: of ten thousand one changes, and all are looked at."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[int, shapes.LiveEventSpec | None]] = {}

    def of(self, raw: Object) -> shapes.LiveEventSpec | None:
        """The spec; None for one that cannot be read."""
        meta = raw["metadata"]
        uid, generation = meta.get("uid", ""), int(meta.get("generation", 0))
        known = self._read.get(uid)
        if known is not None and known[0] == generation and generation > 0:
            return known[1]
        if len(self._read) >= _MOST_SPECS:
            self._read.clear()
        try:
            spec = shapes.LiveEventSpec.model_validate(raw.get("spec") or {})
        except ValidationError:
            spec = None
        self._read[uid] = (generation, spec)
        return spec


class KubeObjects:
    """Reads and writes the objects that the operator deals with."""

    def __init__(self) -> None:
        self._specs = _Specs()

    def pool(
        self, raw: Object, policies: Mapping[str, Object], events: Sequence[Object]
    ) -> PoolFacts:
        """A pool with its policy and the events booked on it."""
        meta, spec = raw["metadata"], raw.get("spec") or {}
        ref = PoolRef(raw["kind"], meta["namespace"], meta["name"])
        facts = PoolFacts(
            ref,
            meta["uid"],
            int(meta.get("generation", 0)),
            None,
            None,
            selector=_selector(ref),
            scale=Scale(spec.get("replicas"), raw.get("replicasWriter", "")),
            status=status_of(ref.kind, raw.get("status")),
            leaving="deletionTimestamp" in meta,
        )
        try:
            shape = _SPECS[ref.kind].model_validate(spec)
            if shape.template is None:
                raise InvalidArgument(field="spec.template", problem="is missing: no pod can start")
            name, found = _policy(shape, policies)
            metric = found.metric
            pool = replace(convert.pool(meta["name"], shape, metric), version=_version(shape))
            policy = convert.policy(name, found)
            booked = _booked(shape, found, events, self._specs)
        except (ValidationError, InvalidArgument) as error:
            return replace(facts, problem=_told(error))
        patience = timedelta(seconds=shape.drain.soft_seconds)
        tenant = shape.tenant_ref.name if shape.tenant_ref is not None else ""
        return replace(
            facts, pool=pool, policy=policy, bookings=booked, tenant=tenant, patience=patience
        )

    def pod(self, raw: Object) -> PodFacts | None:
        """A pool's pod; None for one without the labels that the operator gives."""
        meta, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
        labels = meta.get("labels") or {}
        owner = next((o for o in meta.get("ownerReferences") or [] if o.get("controller")), None)
        if owner is None or not labels.get(INDEX, "").isdecimal():
            return None
        marked = labels.get(STATE)
        finished = status.get("phase") in ("Failed", "Succeeded")
        return PodFacts(
            namespace=meta["namespace"],
            name=meta["name"],
            uid=meta["uid"],
            revision=meta["resourceVersion"],
            owner=owner["uid"],
            index=int(labels[INDEX]),
            created=_time(meta["creationTimestamp"]),
            version=labels.get(VERSION, ""),
            node=spec.get("nodeName") or "",
            marked=PodState(marked) if marked in list(PodState) else None,
            healthy=not _broken(status),
            inert=_inert(status),
            finished=finished,
            failed=finished and status.get("phase") == "Failed",
            leaving="deletionTimestamp" in meta,
            tolerations=tuple(_toleration(one) for one in spec.get("tolerations") or []),
        )

    def gpus(self, raw: Object) -> tuple[str, int]:
        """Name and number of the GPUs of each pod."""
        gpu = (raw.get("spec") or {}).get("gpu")
        if not gpu:
            return "", 0
        return gpu.get("resourceName") or "nvidia.com/gpu", int(gpu.get("count", 1))

    def node(self, raw: Object) -> Node:
        """A node, by its allocatable GPUs: extended resources have a name with a slash."""
        spec, status = raw.get("spec") or {}, raw.get("status") or {}
        gpus = {
            name: int(count)
            for name, count in (status.get("allocatable") or {}).items()
            if "/" in name and str(count).isdecimal()
        }
        ready = any(
            c.get("type") == "Ready" and c.get("status") == "True"
            for c in status.get("conditions") or []
        )
        sick = any(taint.get("key") in _SICK_NODE for taint in spec.get("taints") or [])
        cordoned = bool(spec.get("unschedulable"))
        taints = tuple(
            Taint(t.get("key", ""), t.get("effect", ""), t.get("value") or "")
            for t in spec.get("taints") or []
        )
        usable = ready and not sick and not cordoned
        return Node(raw["metadata"]["name"], gpus, usable, cordoned, taints)

    def pod_body(self, raw: Object, facts: PoolFacts, index: int) -> Object:
        """The pod of this place, with the labels, owner and environment that the operator owns."""
        template = (raw.get("spec") or {}).get("template") or {}
        meta, spec = template.get("metadata") or {}, dict(template.get("spec") or {})
        version = facts.pool.version if facts.pool is not None else ""
        own = {
            POOL: facts.ref.name,
            KIND: facts.ref.kind.lower(),
            INDEX: str(index),
            VERSION: version,
            STATE: PodState.STARTING.value,
        }
        spec["containers"] = _introduced(spec.get("containers") or [], facts.ref.name)
        if (gpus := self.gpus(raw))[1]:
            spec["containers"] = _with_gpus(spec["containers"], *gpus)
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"{facts.ref.name}-{version}-{index}",
                "namespace": facts.ref.namespace,
                "labels": {**(meta.get("labels") or {}), **own},
                "annotations": meta.get("annotations") or {},
                "ownerReferences": [
                    {
                        "apiVersion": "odeon.live/v1alpha1",
                        "kind": facts.ref.kind,
                        "name": facts.ref.name,
                        "uid": facts.uid,
                        "controller": True,
                        "blockOwnerDeletion": False,
                    }
                ],
            },
            "spec": spec,
        }

    def status_body(self, kind: str, status: PoolStatus) -> Object:
        """A pool's status as its resource has it."""
        return status_body(kind, status)

    def status(self, raw: Object) -> PoolStatus | None:
        """A pool's status as it stands."""
        return status_of(raw["kind"], raw.get("status"))


def _policy(
    shape: shapes.PoolSpec, policies: Mapping[str, Object]
) -> tuple[str, shapes.ScalingPolicySpec]:
    if shape.policy_ref is None:
        return Policy().name, shapes.ScalingPolicySpec()
    name = shape.policy_ref.name
    if name not in policies:
        raise InvalidArgument(
            field="spec.policyRef.name", problem=f"ScalingPolicy {name} is missing"
        )
    try:
        return name, shapes.ScalingPolicySpec.model_validate(policies[name].get("spec") or {})
    except ValidationError as error:
        problem = f"ScalingPolicy {name}: {_told(error)}"
        raise InvalidArgument(field="spec.policyRef", problem=problem) from None


def _booked(
    shape: shapes.TranscoderPoolSpec | shapes.EdgePoolSpec,
    policy: shapes.ScalingPolicySpec,
    events: Sequence[Object],
    specs: "_Specs",
) -> tuple[Booking, ...]:
    """Events that this pool serves. One that cannot be read is left out: its own status says so."""
    costs = {p.name: p.cost for p in getattr(shape, "profiles", [])}
    region = getattr(shape, "region", None)
    found = []
    for raw in events:
        spec = specs.of(raw)
        if spec is None:
            continue
        foreign = shape.tenant_ref is not None and spec.tenant_ref.name != shape.tenant_ref.name
        elsewhere = region is not None and bool(spec.regions) and region not in spec.regions
        labels = raw["metadata"].get("labels") or {}
        if not foreign and not elsewhere and _selects(policy.events.selector, labels):
            peak = peak_of((raw.get("status") or {}).get("actualPeak"))
            found.append(convert.booking(raw["metadata"]["name"], spec, costs, peak))
    return tuple(sorted(found, key=lambda b: b.name))


def _selects(selector: shapes.LabelSelector | None, labels: Mapping[str, str]) -> bool:
    if selector is None:
        return True
    if any(labels.get(key) != value for key, value in selector.match_labels.items()):
        return False
    for one in selector.match_expressions:
        there, value = one.key in labels, labels.get(one.key)
        holds = {
            "In": there and value in one.values,
            "NotIn": not there or value not in one.values,
            "Exists": there,
            "DoesNotExist": not there,
        }
        if not holds[one.operator]:
            return False
    return True


def _version(shape: shapes.PoolSpec) -> str:
    """Hash of what a pod is made of; eight digits tell the templates of one pool apart."""
    made_of = [shape.template, shape.gpu.model_dump() if shape.gpu is not None else None]
    text = json.dumps(made_of, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _introduced(containers: Sequence[Object], pool: str) -> list[Object]:
    """The first container learns which pod of which pool it is (`odeon_runtime.pool_agent`)."""
    if not containers:
        return []
    first, *others = containers
    given = {e.get("name") for e in first.get("env") or []}
    own: list[Object] = [{"name": "ODEON_POOL", "value": pool}]
    for name, path in (("ODEON_POD_NAME", "metadata.name"), ("ODEON_POD_UID", "metadata.uid")):
        own.append({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
    missing = [e for e in own if e["name"] not in given]
    return [{**first, "env": [*(first.get("env") or []), *missing]}, *others]


def _with_gpus(containers: Sequence[Object], resource: str, count: int) -> list[Object]:
    if not containers:
        return []
    first, *others = containers
    resources = first.get("resources") or {}
    limits = {**(resources.get("limits") or {}), resource: str(count)}
    return [{**first, "resources": {**resources, "limits": limits}}, *others]


def _toleration(raw: Mapping[str, Any]) -> Toleration:
    anything = raw.get("operator") == "Exists"
    value = None if anything else raw.get("value") or ""
    return Toleration(raw.get("key") or "", raw.get("effect") or "", value)


def _broken(status: Mapping[str, Any]) -> bool:
    every = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    waits = [((c.get("state") or {}).get("waiting") or {}).get("reason") for c in every]
    if any(reason in _BROKEN for reason in waits):
        return True
    # The node is lost, or about to take its pods along.
    return any(
        (c.get("type") == "Ready" and c.get("status") == "Unknown")
        or (c.get("type") == "DisruptionTarget" and c.get("status") == "True")
        for c in status.get("conditions") or []
    )


def _inert(status: Mapping[str, Any]) -> bool:
    """Whether no container runs: each waits to be started, or to be started once more.

    A node that is not heard of tells an old story: then nothing is known.
    """
    every = status.get("containerStatuses") or []
    lost = any(
        c.get("type") == "Ready" and (c.get("status") == "Unknown" or c.get("reason") == _LOST)
        for c in status.get("conditions") or []
    )
    return bool(every) and not lost and all(_waits(one) for one in every)


def _waits(container: Mapping[str, Any]) -> bool:
    return (container.get("state") or {}).get("waiting") is not None


def _selector(ref: PoolRef) -> str:
    return f"{POOL}={ref.name},{KIND}={ref.kind.lower()},{STATE}!={PodState.DRAINING.value}"


def _time(raw: str) -> datetime:
    return datetime.fromisoformat(raw).astimezone(UTC)


def _told(error: ValidationError | InvalidArgument) -> str:
    if isinstance(error, InvalidArgument):
        return f"{error.field}: {error.problem}"
    first = error.errors(include_url=False, include_context=False)[0]
    where = ".".join(str(part) for part in ("spec", *first["loc"]))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}"
