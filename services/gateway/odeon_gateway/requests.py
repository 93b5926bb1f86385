"""What a request says, taken apart with limits: body, client address."""

from collections.abc import Sequence

from starlette.requests import HTTPConnection, Request

from odeon_gateway.refusals import PayloadTooLarge

FORWARDED_FOR = "x-forwarded-for"


async def body_of(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        PayloadTooLarge: as soon as it is known to exceed `limit` bytes.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise PayloadTooLarge(f"at most {limit} bytes", limit_bytes=str(limit))
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise PayloadTooLarge(f"at most {limit} bytes", limit_bytes=str(limit))
        chunks.append(chunk)
    return b"".join(chunks)


def client_address(connection: HTTPConnection, trusted_proxies: int) -> str:
    """Who asks: the peer, or what the outermost trusted proxy saw."""
    peer = connection.client.host if connection.client else "unknown"
    return forwarded_address(connection.headers.getlist(FORWARDED_FOR), peer, trusted_proxies)


def forwarded_address(lines: Sequence[str], peer: str, trusted_proxies: int) -> str:
    """The client's address behind `trusted_proxies` proxies, each of which appended its peer.

    Args:
        lines: values of all X-Forwarded-For headers in their order; they are one list (RFC 9110
            5.3), and some proxies append a line of their own to what the client made up.
        peer: who is connected to us.
        trusted_proxies: how many of the last entries are true.
    """
    if trusted_proxies <= 0:
        return peer
    hops = [hop.strip() for hop in ",".join(lines).split(",") if hop.strip()]
    if len(hops) < trusted_proxies:
        return peer
    return hops[-trusted_proxies]
