"""What several use cases share: the clock, and who may act for whom."""

from collections.abc import Callable
from datetime import UTC, datetime

from odeon_runtime.errors import PermissionDenied
from odeon_runtime.principal import Principal

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The present, to the microsecond that the database keeps."""
    return datetime.now(UTC)


def require_whole_tenant(caller: Principal) -> str:
    """The caller's tenant; refuses a token that is bound to one event."""
    if caller.event is not None:
        raise PermissionDenied("this token is for one event only", event=caller.event)
    return caller.require_tenant()
