"""Tenants: the border that no data crosses."""

from dataclasses import dataclass
from datetime import datetime

from odeon_runtime.errors import DomainError, InvalidArgument, Kind, NotFound, PermissionDenied
from odeon_runtime.ids import TenantId
from odeon_runtime.principal import Principal

from odeon_auth.domain.roles import Role

MAX_DISPLAY_NAME = 120
RESERVED = frozenset({"system"})
"""Stands for "no tenant" in NATS subjects."""


class TenantExists(DomainError):
    """The id is taken."""

    kind = Kind.ALREADY_EXISTS
    reason = "TENANT_EXISTS"


class TenantNotFound(NotFound):
    """The caller's tenant is gone."""

    reason = "TENANT_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A customer of this deployment."""

    id: TenantId
    display_name: str
    create_time: datetime


def tenant_id(text: str) -> TenantId:
    """Check a new tenant's id; raises InvalidArgument."""
    parsed = TenantId.parse(text)
    if parsed in RESERVED:
        raise InvalidArgument(field="tenant_id", problem="is reserved")
    return parsed


def display_name(text: str) -> str:
    """Check a name for people; raises InvalidArgument."""
    name = text.strip()
    if len(name) > MAX_DISPLAY_NAME or not name.isprintable():
        raise InvalidArgument(
            field="display_name", problem=f"at most {MAX_DISPLAY_NAME} printable characters"
        )
    return name


def require_deployment(caller: Principal) -> None:
    """Refuse everybody but the deployment itself: a service on its own, or an operator.

    "*" is not enough here: it stands for everything within a tenant.
    """
    alone = bool(caller.service) and caller.tenant is None
    if not alone and caller.role != Role.OPERATOR.value:
        raise PermissionDenied("only the deployment's operator may do this")
