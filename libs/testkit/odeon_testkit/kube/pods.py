"""How the pods of a cluster are, for tests and for who reads why one failed."""

from odeon_testkit.kube.api import KubeApi, Object, Refused

_LOG_LINES = 40


def of(api: KubeApi, namespace: str = "", labels: str = "") -> list[Object]:
    """Pods of a namespace, or of all.

    Args:
        api: of the cluster.
        namespace: empty for all.
        labels: a selector as kubectl takes it, e.g. "app=room".
    """
    place = f"/namespaces/{namespace}" if namespace else ""
    found = api.request("GET", f"/api/v1{place}/pods", params={"labelSelector": labels})
    pods: list[Object] = found["items"]
    return pods


def is_ready(pod: Object) -> bool:
    """Whether it is ready, or has done what it was there for."""
    if pod["status"]["phase"] == "Succeeded":
        return True
    conditions = pod["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def unready(api: KubeApi, namespace: str) -> list[str]:
    """Names of the pods that are not ready; "none yet" where there is no pod at all."""
    found = of(api, namespace)
    return [p["metadata"]["name"] for p in found if not is_ready(p)] if found else ["none yet"]


def log(api: KubeApi, pod: Object, container: str = "", *, previous: bool = False) -> str:
    """The end of what a pod said; why there is nothing, otherwise."""
    names = pod["metadata"]
    path = f"/api/v1/namespaces/{names['namespace']}/pods/{names['name']}/log"
    chosen = f"&container={container}" if container else ""
    try:
        return api.text(f"{path}?tailLines={_LOG_LINES}{chosen}&previous={str(previous).lower()}")
    except Refused as refused:
        return refused.message


def report(api: KubeApi) -> str:
    """All pods, and of those that are not ready what happened to them and what they said."""
    lines = [str(row) for row in api.table("/api/v1/pods")]
    for pod in of(api):
        if not is_ready(pod):
            lines += _story(api, pod)
    return "\n".join(lines)


def _story(api: KubeApi, pod: Object) -> list[str]:
    name, status = pod["metadata"]["name"], pod["status"]
    path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/events"
    events = api.request("GET", path, params={"fieldSelector": f"involvedObject.name={name}"})
    lines = [f"== {name}", *(f"{e['reason']}: {e.get('message')}" for e in events["items"])]
    for container in (
        *status.get("initContainerStatuses", ()),
        *status.get("containerStatuses", ()),
    ):
        lines.append(f"-- {container['name']}: {container['state']}")
        lines.append(log(api, pod, container["name"], previous="waiting" in container["state"]))
    return lines
