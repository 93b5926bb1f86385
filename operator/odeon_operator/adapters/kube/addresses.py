"""`usecases.publishing.Addresses` over the REST client: Services of single pods, and those pods."""

from collections.abc import Sequence
from typing import Any

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.domain.addresses import Entry, public_addresses
from odeon_operator.ports import Outdated
from odeon_operator.usecases.publishing import Published

PUBLISH_LABEL = "odeon.live/publish-address"
"""`to-pod`, on a Service of type LoadBalancer that selects one pod of a StatefulSet by its name."""
ADDRESS_ANNOTATION = "odeon.live/public-address"
"""On that pod; it reads it through the downward API."""
_POD_NAME = "statefulset.kubernetes.io/pod-name"


class KubeAddresses:
    """Of one namespace, or of all."""

    def __init__(self, client: KubeClient, *, namespace: str = "") -> None:
        self._client = client
        inside = f"/namespaces/{namespace}" if namespace else ""
        self._list = f"/api/v1{inside}/services"

    async def read(self) -> Sequence[Published]:
        """See `usecases.publishing`."""
        found = []
        async for page in self._client.pages(self._list, selector=PUBLISH_LABEL):
            for raw in page:
                name = (raw["spec"].get("selector") or {}).get(_POD_NAME)
                if name:
                    found.append(Published(raw["metadata"]["namespace"], name, _address(raw)))
        return found

    async def present(self, of: Published) -> str | None:
        """See `usecases.publishing`."""
        try:
            pod = await self._client.get(_path(of))
        except Outdated:
            return None
        annotations: dict[str, str] = pod["metadata"].get("annotations") or {}
        return annotations.get(ADDRESS_ANNOTATION, "")

    async def publish(self, of: Published) -> None:
        """See `usecases.publishing`."""
        change = {"metadata": {"annotations": {ADDRESS_ANNOTATION: of.address}}}
        await self._client.merge(_path(of), change)


def _path(of: Published) -> str:
    return f"/api/v1/namespaces/{of.namespace}/pods/{of.pod}"


def _address(raw: Object) -> str:
    ports: list[dict[str, Any]] = raw["spec"].get("ports") or []
    balancer = (raw.get("status") or {}).get("loadBalancer") or {}
    entries = [
        Entry(one.get("ip", ""), one.get("hostname", "")) for one in balancer.get("ingress") or []
    ]
    return public_addresses(entries, ports[0]["port"]) if ports else ""
