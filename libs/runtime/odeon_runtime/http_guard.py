"""What one HTTP connection may cost: bytes of a head, time, a place among the connections.

uvicorn limits none of this with its httptools parser (`h11_max_incomplete_event_size` is for h11,
`limit_concurrency` counts only what has sent a whole head), and the parser itself keeps a header
value of any length. So its protocol class is extended where uvicorn lets one: by `Config.http`.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Limits of a server's connections."""

    max_head_bytes: int = 32 * 1024
    """Request line and headers of a request; as much for a chunked body's trailers."""
    head_timeout_s: float = 10.0
    """From a head's first byte (or from the connection's start) to its end."""
    stall_timeout_s: float = 30.0
    """How long a body may pause, and how long a client may leave an answer unread."""
    max_connections: int = 10_000
    """Connections at once, WebSockets included; more are told 503."""


class HeadTooLarge(Exception):
    """Ends the parsing of a head from inside the parser's callbacks."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. Subclasses set `limits`, see `guarded`."""

    limits: HttpLimits

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._pending = 0
        """Bytes that the parser took in since it last gave something out."""
        self._head_bytes = 0
        self._in_body = False
        self._upgraded = False
        self._deadline: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    # Connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or refuse when all are taken."""
        full = len(self.connections) >= self.limits.max_connections
        super().connection_made(transport)
        if full:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE)
        else:
            self._await(self.limits.head_timeout_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, then see what is still due from the client."""
        if self.transport.is_closing():
            return
        self._pending += len(data)
        super().data_received(data)
        if self._upgraded or self.transport.is_closing():
            return
        if self._pending > self.limits.max_head_bytes:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif self._in_body:
            self._stop_waiting()
            self._await(self.limits.stall_timeout_s)
        elif self._pending and self._deadline is None:
            self._await(self.limits.head_timeout_s)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over; nothing more is for us."""
        self._upgraded = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser gives up."""
        too_large = self._head_bytes > self.limits.max_head_bytes
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_large else HTTPStatus.BAD_REQUEST
        self._refuse(status)

    def pause_writing(self) -> None:
        """The client does not read; it gets some time."""
        super().pause_writing()
        self._unread = self.loop.call_later(self.limits.stall_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    # Parser

    def on_message_begin(self) -> None:
        """A head starts."""
        self._head_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer behind a chunked body."""
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._pending = 0
        self._stop_waiting()
        self._in_body = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._pending = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole; the next head is due when its first byte comes."""
        self._pending = 0
        self._stop_waiting()
        self._in_body = False
        super().on_message_complete()

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.max_head_bytes:
            raise HeadTooLarge

    # Time

    def _await(self, within_s: float) -> None:
        self._deadline = self.loop.call_later(within_s, self._late, within_s)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self, within_s: float) -> None:
        self._deadline = None
        answering = self.cycle is not None and not self.cycle.response_complete
        # Not the client's fault: the application takes its time to read, or a request that came
        # before this head is still being answered.
        if self.flow.read_paused or (answering and not self._in_body):
            self._await(within_s)
        elif self._pending or self._in_body:
            self._refuse(HTTPStatus.REQUEST_TIMEOUT)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus) -> None:
        """Answer if no other answer has begun, and close."""
        self._stop_waiting()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        if self._would_be_misread():
            self.transport.abort()
            return
        head = f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-length: 0\r\n"
        self.transport.write(f"{head}connection: close\r\n\r\n".encode())
        self.transport.close()

    def _would_be_misread(self) -> bool:
        """Whether another answer is under way, or still owed, before one to what came last."""
        cycle = self.cycle
        if cycle is None:
            return False
        if self._in_body:
            return bool(cycle.response_started or self.pipeline)
        return not cycle.response_complete


def guarded(chosen: HttpLimits) -> type[GuardedProtocol]:
    """The protocol class of a server with these limits."""

    class Guarded(GuardedProtocol):
        limits = chosen

    return Guarded
