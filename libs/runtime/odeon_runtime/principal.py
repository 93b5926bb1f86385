"""Who is calling. Set once per call by the gRPC interceptor, read by use cases."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from odeon_runtime.errors import NotFound, PermissionDenied, Unauthenticated


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, as its credential proves it.

    Attributes:
        tenant: tenant id; None for a service that acts on its own.
        subject: identity within the tenant, or "svc:<name>".
        role: e.g. "owner", "host", "viewer", "service".
        permissions: what it may do; "*" stands for everything within its tenant.
        event: event id that the credential is bound to; None for the whole tenant.
        session_id: visit that a revocation can end; empty for API keys and services.
        service: name of the service that makes the call; empty for outsiders.
        name: display name.
        token: the verified token itself, to pass on; never logged.
        expires_at: Unix time in seconds.
        key_id: of the key that signed the token.
    """

    tenant: str | None
    subject: str
    role: str
    permissions: frozenset[str] = frozenset()
    event: str | None = None
    session_id: str = ""
    service: str = ""
    name: str = ""
    token: str = ""
    expires_at: int = 0
    key_id: str = ""

    def __repr__(self) -> str:
        """Without the token: principals end up in logs."""
        return f"Principal({self.tenant}/{self.subject} as {self.role} via {self.service or '-'})"

    def may(self, permission: str) -> bool:
        """Whether the credential grants `permission`."""
        if permission == "service":
            return bool(self.service)
        return "*" in self.permissions or permission in self.permissions

    def require_tenant(self) -> str:
        """The tenant, or a refusal for a service that acts on its own."""
        if self.tenant is None:
            raise PermissionDenied("this call needs the credential of a tenant")
        return self.tenant

    def require_event(self, event: str) -> None:
        """Refuse an event other than the one that the credential is bound to.

        Raises NotFound: who holds a token of one event learns nothing about others.
        """
        if self.event is not None and self.event != event:
            raise NotFound("no such event", event=event)

    def require_alone(self) -> None:
        """Refuse all but a service on the deployment's own business.

        The permission "service" does not suffice for that: a service that passes an outsider's
        token on has it, too.
        """
        if not self.service or self.tenant is not None:
            raise PermissionDenied("only a service on its own may do this")

    def tenant_or(self, requested: str) -> str:
        """The caller's tenant, or the one a trusted service names.

        Raises:
            PermissionDenied: an outsider named another tenant than its own.
        """
        if self.tenant is None and self.service:
            if not requested:
                raise PermissionDenied("a service must say for which tenant it acts")
            return requested
        if requested and requested != self.tenant:
            raise PermissionDenied("the tenant comes from the credential")
        return self.require_tenant()

    def via(self, service: str) -> "Principal":
        """The same caller, seen through a service that passes its token on."""
        return replace(self, service=service)


_current: ContextVar[Principal | None] = ContextVar("odeon_principal", default=None)


def current_principal() -> Principal:
    """The caller of the RPC that is being served."""
    principal = _current.get()
    if principal is None:
        raise Unauthenticated("no credential")
    return principal


def maybe_principal() -> Principal | None:
    """The caller, or None in a public RPC and outside of calls."""
    return _current.get()


def act_as(principal: Principal | None) -> None:
    """Serve the rest of this task as `principal`."""
    _current.set(principal)


@contextmanager
def acting_as(principal: Principal | None) -> Iterator[None]:
    """Serve a call as `principal`; also what tests use to call use cases."""
    token = _current.set(principal)
    try:
        yield
    finally:
        _current.reset(token)
