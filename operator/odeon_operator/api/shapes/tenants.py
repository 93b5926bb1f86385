"""`Tenant`: what Kubernetes has to know of a tenant. Its quotas are auth's."""

from typing import Annotated

from pydantic import Field

from odeon_operator.api.shapes.base import Condition, Name, Shape, conditions, listed


class TenantSpec(Shape):
    """`Tenant.spec`."""

    namespaces: list[Name] = listed(most=256, extra={"x-kubernetes-list-type": "set"})
    """Namespaces whose pools and events may name this tenant, and no other tenant; any that no
    tenant has unless given. What is booked in the product is shown in the first."""
    weight: Annotated[int, Field(ge=1, le=1000)] = 1
    """Its share relative to other tenants when capacity is short. What is live is never taken. Not
    acted on yet."""


class TenantStatus(Shape):
    """`Tenant.status`."""

    observed_generation: Annotated[int | None, Field(ge=0)] = None
    """The generation of the spec that this is about."""
    conditions: list[Condition] = conditions()
    """Ready, and NamespaceShared where another tenant names the same namespace."""
