"""Every refusal of the HTTP side: as Connect error JSON and as a problem (RFC 9457).

Both are made from one `google.rpc.Status`, so a reason reads the same over JSON, WHIP and gRPC.
"""

import base64
from http import HTTPStatus
from typing import TypeVar

import grpc
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.logs import logger
from odeon_runtime.status import to_status
from starlette.responses import JSONResponse

DOMAIN = "gateway.odeon.live"
_log = logger(__name__)
_Message = TypeVar("_Message", bound=Message)

# Connect protocol, "Error codes".
HTTP_STATUS: dict[int, int] = {
    code_pb2.CANCELLED: 499,
    code_pb2.UNKNOWN: 500,
    code_pb2.INVALID_ARGUMENT: 400,
    code_pb2.DEADLINE_EXCEEDED: 504,
    code_pb2.NOT_FOUND: 404,
    code_pb2.ALREADY_EXISTS: 409,
    code_pb2.PERMISSION_DENIED: 403,
    code_pb2.RESOURCE_EXHAUSTED: 429,
    code_pb2.FAILED_PRECONDITION: 400,
    code_pb2.ABORTED: 409,
    code_pb2.OUT_OF_RANGE: 400,
    code_pb2.UNIMPLEMENTED: 501,
    code_pb2.INTERNAL: 500,
    code_pb2.UNAVAILABLE: 503,
    code_pb2.DATA_LOSS: 500,
    code_pb2.UNAUTHENTICATED: 401,
}
# What WHIP, WHEP and plain HTTP say more precisely.
_BY_REASON = {
    "ETAG_MISMATCH": 412,
    "PAYLOAD_TOO_LARGE": 413,
    "SDP_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "IF_MATCH_REQUIRED": 428,
    "METHOD_NOT_ALLOWED": 405,
}
_DETAILS: dict[str, type[Message]] = {
    cls.DESCRIPTOR.full_name: cls
    for cls in (
        error_details_pb2.ErrorInfo,
        error_details_pb2.BadRequest,
        error_details_pb2.RetryInfo,
        error_details_pb2.QuotaFailure,
    )
}


class PayloadTooLarge(DomainError):
    """The body is larger than this route takes."""

    kind = Kind.EXHAUSTED
    reason = "PAYLOAD_TOO_LARGE"


class UnsupportedMediaType(DomainError):
    """The body is of another type than this route takes."""

    kind = Kind.INVALID
    reason = "UNSUPPORTED_MEDIA_TYPE"


class MethodNotAllowed(DomainError):
    """The route exists for other methods."""

    kind = Kind.UNIMPLEMENTED
    reason = "METHOD_NOT_ALLOWED"


class IfMatchRequired(DomainError):
    """RFC 9725 section 4.3.1: a trickled candidate must say for which ICE session it is."""

    kind = Kind.PRECONDITION
    reason = "IF_MATCH_REQUIRED"


class RateLimited(DomainError):
    """Too many calls; `retry_after_s` says when to try again."""

    kind = Kind.EXHAUSTED
    reason = "RATE_LIMITED"


def status_of(error: Exception) -> status_pb2.Status:
    """Any failure as a status; what was not meant for clients is only logged."""
    if isinstance(error, DomainError):
        return to_status(error, DOMAIN)
    if isinstance(error, grpc.aio.AioRpcError):
        return _status_of_call(error)
    if isinstance(error, TimeoutError):
        return _plain(code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the call took too long")
    _log.error("call_failed", exc_info=error)
    return _plain(code_pb2.INTERNAL, "INTERNAL", "something is wrong on our side")


def _status_of_call(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    status = rpc_status.from_call(error)
    if status is not None:
        return status
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE:
        # gRPC's own text names internal addresses.
        return _plain(code_pb2.UNAVAILABLE, "UNAVAILABLE", "the service does not answer")
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return _plain(code_pb2.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "the call took too long")
    if code in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN):
        _log.error("service_failed", code=code.name, details=error.details())
        return _plain(code.value[0], "INTERNAL", "something is wrong on our side")
    return _plain(code.value[0], code.name, error.details() or code.name.lower())


def _plain(code: int, reason: str, message: str) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    status.details.add().Pack(info)
    return status


def connect_json(status: status_pb2.Status) -> dict[str, object]:
    """The error object of the Connect protocol."""
    name = code_pb2.Code.Name(status.code).lower()
    details = []
    for packed in status.details:
        type_name = packed.type_url.rpartition("/")[2]
        value = base64.b64encode(packed.value).decode().rstrip("=")
        detail: dict[str, object] = {"type": type_name, "value": value}
        known = _DETAILS.get(type_name)
        if known is not None:
            detail["debug"] = json_format.MessageToDict(known.FromString(packed.value))
        details.append(detail)
    return {
        "code": "canceled" if name == "cancelled" else name,
        "message": status.message,
        "details": details,
    }


def connect_response(status: status_pb2.Status) -> JSONResponse:
    """A unary Connect answer that says no."""
    return JSONResponse(connect_json(status), HTTP_STATUS[status.code], headers=_headers(status))


def problem(status: status_pb2.Status) -> JSONResponse:
    """A problem document for routes that are not calls, with `reason` and `metadata`."""
    info = _detail(status, error_details_pb2.ErrorInfo())
    reason = info.reason if info else "UNKNOWN"
    number = _BY_REASON.get(reason, HTTP_STATUS[status.code])
    if number == 400 and status.code == code_pb2.FAILED_PRECONDITION:
        number = 409
    body = {
        "type": "about:blank",
        "title": HTTPStatus(number).phrase if number != 499 else "Client Closed Request",
        "status": number,
        "detail": status.message,
        "reason": reason,
        "metadata": dict(info.metadata) if info else {},
    }
    return JSONResponse(
        body, number, media_type="application/problem+json", headers=_headers(status)
    )


def refuse(error: Exception) -> JSONResponse:
    """Any failure as a problem document."""
    return problem(status_of(error))


def retry_after_s(status: status_pb2.Status) -> int | None:
    """Whole seconds to wait, rounded up, if the refusal says."""
    info = _detail(status, error_details_pb2.RetryInfo())
    if info is None:
        return None
    return int(info.retry_delay.seconds) + bool(info.retry_delay.nanos)


def _headers(status: status_pb2.Status) -> dict[str, str]:
    headers = {"cache-control": "no-store"}
    wait = retry_after_s(status)
    if wait is not None:
        headers["retry-after"] = str(wait)
    if status.code == code_pb2.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    return headers


def _detail(status: status_pb2.Status, into: _Message) -> _Message | None:
    return next((into for packed in status.details if packed.Unpack(into)), None)
