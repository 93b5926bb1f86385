"""`ports.LiveEvents` over the picture and the REST client."""

from collections.abc import Collection, Sequence
from typing import Protocol

from odeon_operator.adapters.kube.client import KubeClient, Object
from odeon_operator.adapters.kube.cluster import GROUP
from odeon_operator.adapters.kube.picture import EVENT, Picture
from odeon_operator.domain.booking_status import EventStatus, EventSubject
from odeon_operator.domain.projecting import EventRef, EventSpec, Places, StandingEvent
from odeon_operator.ports import SeenEvent

APPLY = "application/apply-patch+yaml"
MANAGER = "odeon-operator-bookings"
"""Field manager of what is made of bookings; the operator's other writes are its default one's."""


class Objects(Protocol):
    """Turns LiveEvents into values and back."""

    def standing(self, raw: Object) -> StandingEvent:
        """One as it stands."""
        ...

    def subject(self, raw: Object, *, foreign: str) -> EventSubject:
        """What its status is about."""
        ...

    def tenant(self, raw: Object) -> str:
        """The tenant that it names."""
        ...

    def body(self, ref: EventRef, spec: EventSpec) -> Object:
        """What is applied."""
        ...

    def status_body(self, status: EventStatus) -> Object:
        """A status as its resource has it."""
        ...

    def status(self, raw: Object) -> EventStatus | None:
        """A status as it stands."""
        ...


class KubeEvents:
    """LiveEvents of the cluster.

    Args:
        home: namespace of bookings whose tenant has none of its own.
        watched: the only namespace that is looked at; empty: all.
    """

    def __init__(
        self,
        client: KubeClient,
        picture: Picture,
        objects: Objects,
        *,
        home: str,
        watched: str = "",
    ) -> None:
        self._client = client
        self._picture = picture
        self._objects = objects
        self._home = watched or home
        self._watched = watched
        self._read: dict[str, tuple[str, StandingEvent]] = {}

    def places(self) -> Places:
        """See `ports.LiveEvents`."""
        return Places(self._home, self._picture.tenants(), self._watched)

    def standing(self) -> Collection[StandingEvent]:
        """See `ports.LiveEvents`. Each version is read once."""
        found: dict[str, tuple[str, StandingEvent]] = {}
        for raw in self._picture.events():
            uid, version = raw["metadata"]["uid"], raw["metadata"]["resourceVersion"]
            known = self._read.get(uid)
            if known is None or known[0] != version:
                known = (version, self._objects.standing(raw))
            found[uid] = known
        self._read = found
        return [one for _, one in found.values()]

    def seen(self) -> Sequence[SeenEvent]:
        """See `ports.LiveEvents`."""
        return [
            SeenEvent(
                EventRef(raw["metadata"]["namespace"], raw["metadata"]["name"]),
                raw["metadata"]["uid"],
                raw["metadata"]["resourceVersion"],
            )
            for raw in self._picture.events()
            if "deletionTimestamp" not in raw["metadata"]
        ]

    def subject(self, event: SeenEvent) -> EventSubject | None:
        """See `ports.LiveEvents`."""
        raw = self._picture.event(event.uid)
        if raw is None:
            return None
        tenant, namespace = self._objects.tenant(raw), event.ref.namespace
        foreign = ""
        if not self.places().admits(tenant, namespace):
            foreign = f"spec.tenantRef: namespace {namespace} is not one of tenant {tenant}"
        return self._objects.subject(raw, foreign=foreign)

    async def make(self, ref: EventRef, spec: EventSpec) -> None:
        """See `ports.LiveEvents`.

        Without force: the fields of one that somebody else made meanwhile are a conflict.
        """
        await self._apply(ref, self._objects.body(ref, spec), force=False)

    async def change(self, event: StandingEvent, spec: EventSpec) -> None:
        """See `ports.LiveEvents`."""
        body = self._objects.body(event.ref, spec)
        # The uid makes it this one, and none at all once it is gone.
        body["metadata"]["uid"] = event.uid
        await self._apply(event.ref, body, force=True)

    async def delete(self, event: StandingEvent) -> None:
        """See `ports.LiveEvents`."""
        await self._client.delete(_path(event.ref), uid=event.uid, revision=event.revision)
        self._picture.drop(EVENT, event.uid)

    async def write_status(self, event: SeenEvent, status: EventStatus) -> EventStatus | None:
        """See `ports.LiveEvents`."""
        body = {"metadata": {"uid": event.uid}, "status": self._objects.status_body(status)}
        written = await self._client.merge(f"{_path(event.ref)}/status", body)
        self._picture.put(EVENT, written)
        return self._objects.status(written)

    async def _apply(self, ref: EventRef, body: Object, *, force: bool) -> None:
        query = f"?fieldManager={MANAGER}" + ("&force=true" if force else "")
        made = await self._client.request("PATCH", _path(ref) + query, body, content_type=APPLY)
        self._picture.put(EVENT, made)


def _path(ref: EventRef) -> str:
    return f"{GROUP}/namespaces/{ref.namespace}/liveevents/{ref.name}"
