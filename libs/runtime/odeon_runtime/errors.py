"""Refusals: every rule that says no raises a `DomainError` with a stable reason.

One interceptor turns it into `google.rpc.Status` with `ErrorInfo`; the gateway turns that into
Connect's JSON. Domains raise and never import gRPC.
"""

from enum import Enum
from typing import ClassVar


class Kind(Enum):
    """What sort of refusal it is; decides the gRPC code and the HTTP status."""

    INVALID = "invalid"
    UNAUTHENTICATED = "unauthenticated"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    ALREADY_EXISTS = "already_exists"
    PRECONDITION = "precondition"
    ABORTED = "aborted"
    OUT_OF_RANGE = "out_of_range"
    EXHAUSTED = "exhausted"
    UNAVAILABLE = "unavailable"
    UNIMPLEMENTED = "unimplemented"


class DomainError(Exception):
    """A refusal that a client can act on.

    Attributes:
        kind: sort of refusal.
        reason: stable UPPER_SNAKE name, part of the API.
        metadata: facts about this refusal, strings only; never secrets.
        retry_after_s: when trying again makes sense, in seconds.
    """

    kind: ClassVar[Kind] = Kind.PRECONDITION
    reason: ClassVar[str] = "REFUSED"

    def __init__(
        self, message: str, *, retry_after_s: float | None = None, **metadata: str
    ) -> None:
        super().__init__(message)
        self.message = message
        self.metadata = metadata
        self.retry_after_s = retry_after_s


class InvalidArgument(DomainError):
    """A field of the request is malformed; nothing was changed."""

    kind = Kind.INVALID
    reason = "INVALID_ARGUMENT"

    def __init__(self, *, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}", field=field, problem=problem)
        self.field = field
        self.problem = problem


class Unauthenticated(DomainError):
    """No credential, or one that proves nothing."""

    kind = Kind.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(DomainError):
    """The credential is good but does not allow this."""

    kind = Kind.PERMISSION
    reason = "PERMISSION_DENIED"


class NotFound(DomainError):
    """No such thing in the caller's tenant."""

    kind = Kind.NOT_FOUND
    reason = "NOT_FOUND"


class Unavailable(DomainError):
    """A dependency is away; nothing was changed and trying again may help."""

    kind = Kind.UNAVAILABLE
    reason = "UNAVAILABLE"
