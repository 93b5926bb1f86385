"""A way to a server on which connections freeze: they stay open, and nothing passes any more."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Self

from odeon_runtime.tasks import EternalTasks

_CHUNK = 65536


class Freezer:
    """Listens on a free port of loopback and passes everything on. An async context manager.

    Args:
        port: of the server, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: list[asyncio.Event] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks = EternalTasks()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def __aenter__(self) -> Self:
        """Listen."""
        await self._tasks.__aenter__()
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cut everything."""
        if self._server is not None:
            self._server.close()
        await self._tasks.__aexit__(kind, error, traceback)
        for writer in self._writers:
            writer.transport.abort()

    def freeze(self) -> int:
        """From now on nothing passes on connections that are open; later ones are not concerned.

        Returns how many there were.
        """
        frozen, self._open = self._open, []
        for passing in frozen:
            passing.clear()
        return len(frozen)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = asyncio.Event()
        passing.set()
        self._open.append(passing)
        self._writers.append(writer)
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers.append(to_writer)
        self._tasks.spawn("to-server", _pump(reader, to_writer, passing))
        self._tasks.spawn("to-client", _pump(to_reader, writer, passing))


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event
) -> None:
    with suppress(OSError):
        while data := await reader.read(_CHUNK):
            await passing.wait()
            writer.write(data)
            await writer.drain()
    if passing.is_set():
        writer.close()
