"""What several use cases share: time, and requests that may come twice."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

from odeon_runtime.errors import InvalidArgument

from odeon_auth.domain.tenants import RequestIdReused
from odeon_auth.ports import Repeated, Transaction

Clock = Callable[[], datetime]
_MAX_REQUEST_ID = 100


def utc_now() -> datetime:
    """The present, to the microsecond that the database keeps."""
    return datetime.now(UTC)


def digest(*parts: str) -> str:
    """What tells one request from another under the same request_id."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


async def first_result(
    tx: Transaction, method: str, request_id: str, body_digest: str
) -> str | None:
    """The resource that the first request with this id made; None when this is the first.

    Raises:
        RequestIdReused: the first request asked for something else.
    """
    if not request_id:
        return None
    if len(request_id) > _MAX_REQUEST_ID or not request_id.isprintable():
        raise InvalidArgument(
            field="request_id", problem=f"at most {_MAX_REQUEST_ID} printable characters"
        )
    earlier = await tx.repeated(method, request_id)
    if earlier is not None and earlier.digest != body_digest:
        raise RequestIdReused("this request_id came with another request before")
    return earlier.resource if earlier else None


async def remember(
    tx: Transaction, method: str, request_id: str, body_digest: str, resource: str
) -> None:
    """Note what a request made, in the transaction that made it."""
    if request_id:
        await tx.remember(method, request_id, Repeated(body_digest, resource))
