"""What several use cases share: the clock, and who may act for whom."""

from collections.abc import Callable
from datetime import UTC, datetime

from odeon_runtime.errors import PermissionDenied
from odeon_runtime.principal import Principal

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, to the microsecond that the database keeps."""
    return datetime.now(UTC)


def require_alone(caller: Principal) -> None:
    """Refuse all but a service on its own business.

    The permission "service" alone is not enough for what belongs to the deployment: a service
    that passes an outsider's token on has it, too.
    """
    if not caller.service or caller.tenant is not None:
        raise PermissionDenied("only a service on its own may do this")


def require_whole_tenant(caller: Principal) -> str:
    """The caller's tenant; refuses a token that is bound to one event."""
    if caller.event is not None:
        raise PermissionDenied("this token is for one event only", event=caller.event)
    return caller.require_tenant()
