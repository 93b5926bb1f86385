"""Requests that may come twice: a create with the same request_id has one effect.

What a request made is noted in the transaction that made it, so that neither a lost answer nor a
second server can make it twice.
"""

import hashlib
from dataclasses import dataclass
from typing import Protocol

from odeon_runtime.errors import DomainError, InvalidArgument, Kind

_MAX_REQUEST_ID = 100


class RequestIdReused(DomainError):
    """The same request_id came with another request."""

    kind = Kind.ALREADY_EXISTS
    reason = "REQUEST_ID_REUSED"


@dataclass(frozen=True, slots=True)
class Repeated:
    """What a request_id stands for: a digest of the request and what it made."""

    digest: str
    resource: str


class Repeats(Protocol):
    """Where they are kept: a transaction of the tenant's."""

    async def repeated(self, method: str, request_id: str) -> Repeated | None:
        """What an earlier request with this id made."""
        ...

    async def remember(self, method: str, request_id: str, made: Repeated) -> None:
        """Note what a request made; conflicts when a concurrent one with this id was faster."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A create that may be repeated; without `id` every call is a new one."""

    method: str
    id: str
    digest: str

    @classmethod
    def of(cls, method: str, request_id: str, *body: str) -> "Request":
        """Check the id and digest what the request says; raises InvalidArgument."""
        if len(request_id) > _MAX_REQUEST_ID or not request_id.isprintable():
            raise InvalidArgument(
                field="request_id", problem=f"at most {_MAX_REQUEST_ID} printable characters"
            )
        return cls(method, request_id, hashlib.sha256("\0".join(body).encode()).hexdigest())

    async def first_result(self, repeats: Repeats) -> str | None:
        """The resource that the first such request made; None when this is the first.

        Raises:
            RequestIdReused: the first one asked for something else.
        """
        earlier = await repeats.repeated(self.method, self.id) if self.id else None
        if earlier is not None and earlier.digest != self.digest:
            raise RequestIdReused("this request_id came with another request before")
        return earlier.resource if earlier else None

    async def made(self, repeats: Repeats, resource: str) -> None:
        """Note what it made."""
        if self.id:
            await repeats.remember(self.method, self.id, Repeated(self.digest, resource))
