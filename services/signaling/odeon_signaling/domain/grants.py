"""Grants: what a verified token lets its holder do on the stage of one event."""

from dataclasses import dataclass

from odeon_runtime.errors import DomainError, Kind, NotFound, PermissionDenied
from odeon_runtime.ids import EventId, Identity, TenantId
from odeon_runtime.principal import Principal

HIDDEN_ROLES = frozenset({"recorder", "prober"})
"""The transcoder's seat and the synthetic prober: not shown, not counted, not told about."""
_ADMITTED_ROLES = HIDDEN_ROLES | {"host", "assistant", "moderator", "publisher"}
"""Roles that never wait, so room need not be asked when it is away."""
PROBER = "prober"
PROBE_TENANT = TenantId("system")


class NotAdmitted(DomainError):
    """The participant waits for a host to let it in."""

    kind = Kind.PRECONDITION
    reason = "NOT_ADMITTED"


class PinnedNotAllowed(PermissionDenied):
    """Only hidden participants are exempt from bandwidth estimation."""

    reason = "PINNED_NOT_ALLOWED"


@dataclass(frozen=True, slots=True, order=True)
class EventKey:
    """An event across tenants; the only form in which this node names one."""

    tenant: str
    event: str

    def __str__(self) -> str:
        """As the media core and room's heartbeat spell it."""
        return f"{self.tenant}/{self.event}"

    @property
    def is_probe(self) -> bool:
        """Whether it belongs to the prober and must leave no trace outside of this node."""
        return self.tenant == PROBE_TENANT


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who enters which event as what."""

    key: EventKey
    identity: str
    session_id: str
    display_name: str
    role: str

    @property
    def hidden(self) -> bool:
        """Whether others must not notice."""
        return self.role in HIDDEN_ROLES

    @property
    def admitted_unasked(self) -> bool:
        """Whether the role enters without room's word."""
        return self.role in _ADMITTED_ROLES

    @property
    def may_publish(self) -> bool:
        """Whether the role sends media."""
        return self.role not in ("recorder", "viewer")

    def require_pinned(self, pinned: bool) -> None:
        """Refuse `pinned` to anybody who is seen."""
        if pinned and not self.hidden:
            raise PinnedNotAllowed("only hidden participants may be pinned")


def event_grant(principal: Principal, event: str) -> Grant:
    """The grant of a token for `event` ("" takes the token's own).

    Raises:
        NotFound: the token is for another event.
        PermissionDenied: the token is for no event, or for no tenant.
    """
    tenant = TenantId.parse(principal.require_tenant())
    if principal.event is None:
        raise PermissionDenied("the token is not for an event")
    if event:
        principal.require_event(EventId.parse(event))
    return Grant(
        key=EventKey(tenant, EventId.parse(principal.event)),
        identity=Identity.parse(principal.subject),
        session_id=principal.session_id,
        display_name=principal.name or principal.subject,
        role=principal.role,
    )


def probe_grant(principal: Principal, event: str, node: str, identity: str) -> Grant:
    """The grant of the prober, which comes with a service token and only into the probe event.

    Raises:
        PermissionDenied: another service; none but the prober enters without a join token.
        NotFound: not the probe event of this node.
    """
    if principal.service != PROBER:
        raise PermissionDenied("services do not take part in events")
    if event != probe_event(node):
        raise NotFound("no such event", event=event)
    return Grant(
        key=EventKey(PROBE_TENANT, event),
        identity=identity,
        session_id="",
        display_name=PROBER,
        role=PROBER,
    )


def probe_event(node: str) -> str:
    """Id of the hidden event in which a node is probed."""
    return f"probe-{node}"[:63]
