"""HTTP/1.1 as bytes: what well-behaved client libraries refuse to send, tests must."""

import asyncio
import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class Answer:
    """One response."""

    status: int
    headers: dict[str, str]
    body: bytes


class WireError(Exception):
    """The peer closed or spoke no HTTP."""


async def connect(
    base: str, *, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection to the host and port of a URL."""
    parts = urlsplit(base)
    assert parts.hostname is not None
    return await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    """Read one response of a kept-alive connection.

    Raises:
        WireError: the connection ended before the response did.
    """
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ", 2)[1])
        pairs = (line.partition(":") for line in lines[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        length = int(headers.get("content-length", "0"))
        empty = head_only or status in (204, 304)
        body = b"" if empty else await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError, ValueError, IndexError) as error:
        raise WireError(repr(error)) from error
    return Answer(status, headers, body)


def request(path: str, *, method: str = "GET", headers: dict[str, str] | None = None) -> bytes:
    """The bytes of a request; nothing about the path is normalised."""
    given = {"Host": "edge.test", **(headers or {})}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def ask(
    base: str,
    path: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    timeout_s: float = 20.0,
) -> Answer:
    """One request on a connection of its own.

    Raises:
        WireError: there was no response.
        TimeoutError: it did not come in time.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await connect(base)
        try:
            writer.write(request(path, method=method, headers=headers))
            return await read_answer(reader, head_only=method == "HEAD")
        finally:
            writer.close()


async def until_closed(reader: asyncio.StreamReader, *, timeout_s: float) -> bytes:
    """All bytes until the peer closes; a reset counts as closing.

    Raises:
        TimeoutError: it is still open.
    """
    received = bytearray()
    async with asyncio.timeout(timeout_s):
        try:
            while data := await reader.read(65536):
                received += data
        except ConnectionError:
            pass
    return bytes(received)
