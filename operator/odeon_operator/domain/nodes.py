"""How many more pods the nodes' GPUs could take now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Node:
    """A node, as far as GPUs go.

    Attributes:
        gpus: allocatable by resource name. Not what its type promises: a GPU node is Ready about
            90 s before its GPUs exist (NVIDIA/k8s-device-plugin#291).
        usable: ready and not cordoned.
    """

    name: str
    gpus: Mapping[str, int] = field(default_factory=dict)
    usable: bool = True


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
