"""HTTP shared by intake and origin: answers, refusals, bodies."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.http import Receive, Scope, Send

STATUS: dict[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.PERMISSION: 403,
    Kind.NOT_FOUND: 404,
    Kind.ALREADY_EXISTS: 409,
    Kind.ABORTED: 409,
    Kind.PRECONDITION: 412,
    Kind.EXHAUSTED: 507,
    Kind.OUT_OF_RANGE: 416,
    Kind.UNAVAILABLE: 503,
    Kind.UNIMPLEMENTED: 501,
}


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    async def send(self, scope: Scope, send: Send) -> None:
        """Send it; HEAD gets the headers alone."""
        headers = {**self.headers, "content-length": str(len(self.body))}
        if self.status in (204, 304):
            del headers["content-length"]
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": [(k.encode("latin1"), v.encode("latin1")) for k, v in headers.items()],
            }
        )
        body = b"" if scope["method"] == "HEAD" else self.body
        await send({"type": "http.response.body", "body": body})


def refusal(error: DomainError) -> Answer:
    """A refusal as JSON with its reason, the same as gRPC's ErrorInfo."""
    body = {"reason": error.reason, "message": error.message, "metadata": error.metadata}
    headers = {"content-type": "application/json", "odeon-reason": error.reason}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, round(error.retry_after_s)))
    return Answer(STATUS[error.kind], json.dumps(body).encode(), headers)


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers by lower-case name; the last one of a name counts."""
    return {k.decode("latin1"): v.decode("latin1") for k, v in scope["headers"]}


class BodyTooLarge(DomainError):
    """More bytes than a part may have."""

    kind = Kind.INVALID
    reason = "BODY_TOO_LARGE"


async def read_body(receive: Receive, *, limit: int) -> bytes | None:
    """The whole request body; None when the client left; raises BodyTooLarge."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"at most {limit} bytes", limit_bytes=str(limit))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
