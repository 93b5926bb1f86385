"""Asking other services: their refusals stay refusals, their absence becomes UNAVAILABLE."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from odeon_runtime.errors import DomainError, Kind, Unavailable

TIMEOUT_S = 5.0
_NOTHING_THERE = frozenset({grpc.StatusCode.NOT_FOUND})
_AWAY = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


class PeerRefused(DomainError):
    """A service refused what room asked of it on its own business."""

    kind = Kind.PRECONDITION
    reason = "PEER_REFUSED"


@contextmanager
def ordering(service: str) -> Iterator[None]:
    """Around an order of room's own; what is not there needs no ordering about.

    Raises:
        Unavailable: the service does not answer.
        PeerRefused: it refused, for whatever reason.
    """
    try:
        with asking(service, or_nothing=_NOTHING_THERE):
            yield
    except grpc.aio.AioRpcError as error:
        code, details = error.code().name, error.details() or ""
        raise PeerRefused(f"{service} refused: {details}", service=service, code=code) from error


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
