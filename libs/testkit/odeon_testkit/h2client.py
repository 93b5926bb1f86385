"""An HTTP/2 client that can misbehave: well-formed requests and raw frames on one connection."""

import asyncio
import ssl
import struct
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import hpack

from odeon_testkit.wire import Answer

_WAIT_S = 10.0
_GOAWAY = 7


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame (RFC 9113, 4.1)."""
    length = struct.pack(">I", len(payload))[1:]
    return length + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class H2Client:
    """One TLS connection that speaks h2.

    Args:
        open_windows: whether flow control windows are opened as data comes in.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        authority: str,
        *,
        open_windows: bool,
    ) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        self._reader, self._writer, self._authority = reader, writer, authority
        self._open_windows = open_windows
        self._statuses: dict[int, int] = {}
        self._bodies: dict[int, bytes] = {}
        self._ended: set[int] = set()
        self._changed = asyncio.Condition()
        self.goaway_error: int | None = None
        self.is_over = False
        self._task: asyncio.Task[None] | None = None

    @classmethod
    async def connect(
        cls, base: str, tls: ssl.SSLContext, *, open_windows: bool = True
    ) -> "H2Client":
        """Connect to a base URL; `tls` decides what is trusted, ALPN is h2."""
        parts = urlsplit(base)
        tls.set_alpn_protocols(["h2"])
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=tls)
        client = cls(reader, writer, parts.netloc, open_windows=open_windows)
        client._h2.initiate_connection()
        client._flush()
        client._task = asyncio.create_task(client._read(), name="h2-client")
        return client

    def _fields(self, path: str) -> list[tuple[str, str]]:
        return [
            (":method", "GET"),
            (":path", path),
            (":authority", self._authority),
            (":scheme", "https"),
        ]

    def head(self, path: str) -> bytes:
        """An encoded header block that leaves no trace in the encoder's table."""
        return bytes(hpack.Encoder().encode([(n, v, True) for n, v in self._fields(path)]))

    async def get(self, path: str) -> int:
        """Send a request; returns its stream."""
        stream = int(self._h2.get_next_available_stream_id())
        self._h2.send_headers(stream, self._fields(path), end_stream=True)
        self._flush()
        await self._writer.drain()
        return stream

    async def answer(self, stream: int) -> Answer:
        """The response of a stream, once it is complete."""
        async with asyncio.timeout(_WAIT_S), self._changed:
            await self._changed.wait_for(lambda: stream in self._ended or self.is_over)
        if stream not in self._statuses:
            raise ConnectionError("the connection ended before the response")
        return Answer(self._statuses[stream], {}, self._bodies.get(stream, b""))

    async def send_raw(self, data: bytes) -> None:
        """Send bytes that the library knows nothing of.

        Raises:
            ConnectionError: the server has hung up.
        """
        if self.is_over or self._writer.is_closing():
            raise ConnectionResetError("the server has hung up")
        self._writer.write(data)
        await self._writer.drain()
        await asyncio.sleep(0)  # drain() alone never lets the reader run

    async def until_goaway(self) -> None:
        """Return when the server said goodbye."""
        async with asyncio.timeout(_WAIT_S), self._changed:
            await self._changed.wait_for(lambda: self.goaway_error is not None)

    async def until_over(self) -> None:
        """Return when the connection ended."""
        async with asyncio.timeout(_WAIT_S), self._changed:
            await self._changed.wait_for(lambda: self.is_over)

    def close(self) -> None:
        """Hang up."""
        if self._task is not None:
            self._task.cancel()
        self._writer.transport.abort()

    def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())

    async def _read(self) -> None:
        ended = (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)
        with suppress(h2.exceptions.ProtocolError, *ended):
            while True:
                head = await self._reader.readexactly(9)
                payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
                if head[3] == _GOAWAY:
                    # The library would close its own state at once, streams under way included.
                    self.goaway_error = int.from_bytes(payload[4:8], "big")
                else:
                    for event in self._h2.receive_data(head + payload):
                        self._take(event)
                    self._flush()
                async with self._changed:
                    self._changed.notify_all()
        self.is_over = True
        async with self._changed:
            self._changed.notify_all()

    def _take(self, event: Any) -> None:
        match event:
            case h2.events.ResponseReceived():
                fields: dict[Any, Any] = dict(event.headers)
                self._statuses[event.stream_id] = int(fields[":status"])
            case h2.events.DataReceived():
                self._bodies[event.stream_id] = self._bodies.get(event.stream_id, b"") + event.data
                if self._open_windows:
                    self._h2.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
            case h2.events.StreamEnded() | h2.events.StreamReset():
                self._ended.add(event.stream_id)
