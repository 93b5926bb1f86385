"""`usecases.announcing.Events`: Events of events.k8s.io about pools."""

from datetime import datetime
from secrets import token_hex

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.domain.announcements import Announcement
from odeon_operator.ports import PoolFacts

_CONTROLLER = "odeon.live/operator"
_INSTANCE_MOST = 128


class KubeAnnouncements:
    """Events in the namespaces of their pools. `identity`: who writes them."""

    def __init__(self, client: KubeClient, *, identity: str) -> None:
        self._client = client
        self._identity = identity[:_INSTANCE_MOST]

    async def create(self, pool: PoolFacts, told: Announcement, at: datetime) -> str:
        """See `usecases.announcing`."""
        name = f"{pool.ref.name}.{token_hex(8)}"
        await self._client.post(_folder(pool), self._event(pool, told, name, at))
        return name

    async def repeat(self, pool: PoolFacts, name: str, count: int, at: datetime) -> None:
        """See `usecases.announcing`."""
        series = {"count": count, "lastObservedTime": _micro(at)}
        await self._client.merge(f"{_folder(pool)}/{name}", {"series": series})

    def _event(self, pool: PoolFacts, told: Announcement, name: str, at: datetime) -> Object:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": pool.ref.namespace},
            "eventTime": _micro(at),
            "reportingController": _CONTROLLER,
            "reportingInstance": self._identity,
            "action": told.action,
            "reason": told.reason,
            "note": told.note,
            "type": "Warning" if told.warning else "Normal",
            "regarding": {
                "apiVersion": "odeon.live/v1alpha1",
                "kind": pool.ref.kind,
                "namespace": pool.ref.namespace,
                "name": pool.ref.name,
                "uid": pool.uid,
            },
        }


def _folder(pool: PoolFacts) -> str:
    return f"/apis/events.k8s.io/v1/namespaces/{pool.ref.namespace}/events"


def _micro(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
