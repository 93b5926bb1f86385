"""What a failed gRPC call means."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from odeon_runtime.errors import DomainError
from odeon_runtime.status import error_info

from odeon_transcoder.ports import Unreachable

_TRANSIENT = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.INTERNAL,
    grpc.StatusCode.UNKNOWN,
    grpc.StatusCode.CANCELLED,
}
"""A restarted peer may know no keys yet, so even a refused credential may be good again soon."""


@contextmanager
def asking(decided: Callable[[grpc.aio.AioRpcError], Exception]) -> Iterator[None]:
    """Turn a failed call into Unreachable, or into what `decided` makes of a real refusal."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() in _TRANSIENT:
            raise Unreachable(f"{error.code().name}: {reason_of(error)}") from error
        raise decided(error) from error
    except DomainError as error:
        # No service token could be had.
        raise Unreachable(error.reason) from error


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """The ErrorInfo reason, or the code."""
    info = error_info(error)
    return info.reason if info is not None else error.code().name


def retry_after_s(error: grpc.aio.AioRpcError, default: float) -> float:
    """When the peer wants to be asked again."""
    status = rpc_status.from_call(error)
    for detail in status.details if status is not None else ():
        info = error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            return float(info.retry_delay.ToMilliseconds()) / 1000
    return default
