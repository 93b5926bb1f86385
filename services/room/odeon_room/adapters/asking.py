"""Asking other services: their refusals stay refusals, their absence becomes UNAVAILABLE."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from odeon_runtime.errors import Unavailable

TIMEOUT_S = 5.0
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


@contextmanager
def asking(service: str, *, or_nothing: frozenset[grpc.StatusCode] = frozenset()) -> Iterator[None]:
    """Around one call; codes in `or_nothing` mean that there was nothing to do.

    Raises:
        Unavailable: the service does not answer.
        grpc.aio.AioRpcError: its refusal, which the interceptor passes to our caller as it is.
    """
    try:
        yield
    except grpc.aio.AioRpcError as error:
        if error.code() in or_nothing:
            return
        if error.code() in _AWAY:
            raise Unavailable(f"{service} does not answer", service=service) from error
        raise
