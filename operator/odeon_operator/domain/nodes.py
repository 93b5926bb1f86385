"""What nodes mean for pods: how many more pods their GPUs could take, and who has to leave one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

GOING = (
    "karpenter.sh/disrupted",
    "ToBeDeletedByClusterAutoscaler",
    "aws-node-termination-handler/",
    "cloud.google.com/impending-node-termination",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/shutdown",
)
"""Taints (or beginnings of their keys) that say that a node goes away soon, whoever tolerates them.
A spot node is left 30 s (Google Cloud) to 2 minutes (AWS) after its notice."""
CORDON = "node.kubernetes.io/unschedulable"
_PASSING = "node.kubernetes.io/"
"""Conditions of a node that come and go by themselves (`not-ready`, `memory-pressure`, …): a pod is
not moved for them. A cordon has such a name too, and is looked at by itself."""


@dataclass(frozen=True, slots=True)
class Taint:
    """A taint of a node."""

    key: str
    effect: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class Toleration:
    """What a pod tolerates. An empty key or effect is any; without `value` any value."""

    key: str = ""
    effect: str = ""
    value: str | None = None

    def of(self, taint: Taint) -> bool:
        """Whether it tolerates this taint."""
        return (
            self.key in ("", taint.key)
            and self.effect in ("", taint.effect)
            and self.value in (None, taint.value)
        )


@dataclass(frozen=True, slots=True)
class Notice:
    """A pod has to leave its node.

    Attributes:
        why: for people, e.g. "node-1 is cordoned".
        soon: the node goes away whatever is on it: no new work should begin there from now on.
    """

    why: str
    soon: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as far as pods of pools are concerned.

    Attributes:
        gpus: allocatable by resource name. Not what its type promises: a GPU node is Ready about
            90 s before its GPUs exist (NVIDIA/k8s-device-plugin#291).
        usable: ready and not cordoned.
        cordoned: nobody is to be scheduled to it.
    """

    name: str
    gpus: Mapping[str, int] = field(default_factory=dict)
    usable: bool = True
    cordoned: bool = False
    taints: tuple[Taint, ...] = ()


def notice(node: Node, tolerations: Sequence[Toleration]) -> Notice | None:
    """Why a pod has to leave a node; None when it may stay."""
    for taint in node.taints:
        if taint.key.startswith(GOING):
            return Notice(f"{node.name} goes away ({taint.key})", soon=True)
    if node.cordoned and not _tolerated(Taint(CORDON, "NoSchedule"), tolerations):
        return Notice(f"{node.name} is cordoned")
    for taint in node.taints:
        binding = taint.effect in ("NoSchedule", "NoExecute")
        passing = taint.key.startswith(_PASSING)
        if binding and not passing and not _tolerated(taint, tolerations):
            return Notice(f"{node.name} is tainted ({taint.key})", soon=taint.effect == "NoExecute")
    return None


def _tolerated(taint: Taint, tolerations: Sequence[Toleration]) -> bool:
    return any(one.of(taint) for one in tolerations)


def free_pods(
    nodes: Sequence[Node], resource: str, per_pod: int, in_use: Mapping[str, int]
) -> int | None:
    """Pods that would be scheduled at once.

    GPUs that others than pool pods use are not seen; a pod that finds its GPU taken is pending, and
    pending pods are few and back off.

    Args:
        nodes: all that are known; none at all means that nothing is known.
        resource: e.g. "nvidia.com/gpu".
        per_pod: GPUs of a pod.
        in_use: GPUs that pool pods hold, by node.
    """
    if per_pod <= 0 or not nodes:
        return None
    return sum(
        max(0, node.gpus.get(resource, 0) - in_use.get(node.name, 0)) // per_pod
        for node in nodes
        if node.usable
    )
