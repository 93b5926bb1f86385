"""A small real HTTP origin that blocks like a recorder and can be killed and restarted.

It serves what a test puts into it: numbered parts, playlists that wait for a part, and any other
object; it remembers every request it got.
"""

import asyncio
import gzip
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

_BLOCK_S = 6.0
_PLAYLIST = "application/vnd.apple.mpegurl"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]

    @property
    def path(self) -> str:
        """Path without query."""
        return urlsplit(self.target).path

    def number(self, name: str) -> int | None:
        """A query parameter as a number."""
        values = parse_qs(urlsplit(self.target).query).get(name)
        return int(values[0]) if values else None


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Asked], Awaitable[Reply]]


class Origin:
    """Serves one event's worth of objects on a loopback port that survives restarts.

    Args:
        handler: answers instead of the default behaviour when it returns something.
    """

    def __init__(self, handler: Handler | None = None) -> None:
        self.asked: list[Asked] = []
        self.port = 0
        self.newest = (0, 0)
        self.objects: dict[str, Reply] = {}
        self.waiting = 0
        self._handler = handler
        self._moved = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    def count(self) -> Counter[str]:
        """How often each target was asked for."""
        return Counter(asked.target for asked in self.asked)

    async def start(self) -> None:
        """Listen, on the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self.port, reuse_address=True, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def kill(self) -> None:
        """Vanish: close the port and cut every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 1)

    async def publish(self, msn: int, part: int) -> None:
        """A part exists now: requests that wait for it are answered."""
        async with self._moved:
            self.newest = (msn, part)
            self._moved.notify_all()

    async def until_waiting(self, count: int) -> None:
        """Return when so many requests are blocked here."""
        async with asyncio.timeout(10), self._moved:
            await self._moved.wait_for(lambda: self.waiting >= count)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = head[0].split(" ")
        pairs = (line.partition(":") for line in head[1:] if line)
        asked = Asked(method, target, {n.strip().lower(): v.strip() for n, _, v in pairs})
        self.asked.append(asked)
        reply = await (self._handler or self._answer)(asked)
        headers = {"Content-Length": str(len(reply.body)), **reply.headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"HTTP/1.1 {reply.status} X\r\n{lines}\r\n".encode("latin-1") + reply.body)
        await writer.drain()

    async def _answer(self, asked: Asked) -> Reply:
        if (fixed := self.objects.get(asked.path)) is not None:
            return fixed
        if asked.path.endswith(".m3u8"):
            return await self._playlist(asked)
        return Reply(404, b"<p>no</p>", {"Content-Type": "text/html"})

    async def _playlist(self, asked: Asked) -> Reply:
        msn, part = asked.number("_HLS_msn"), asked.number("_HLS_part") or 0
        if msn is not None and msn > self.newest[0] + 2:
            problem = b'{"reason": "MSN_TOO_FAR", "message": "that is too far in the future"}'
            return Reply(400, problem, {"Content-Type": "application/json"})
        if msn is not None and not await self._exists(msn, part):
            return Reply(503)
        text = f"#EXTM3U\n#NEWEST:{self.newest[0]}.{self.newest[1]}\n".encode()
        headers = {"Content-Type": _PLAYLIST, "Cache-Control": "max-age=1"}
        headers["ETag"] = f'"{self.newest[0]}-{self.newest[1]}"'
        if "gzip" in asked.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            text = gzip.compress(text)
        return Reply(200, text, headers)

    async def _exists(self, msn: int, part: int) -> bool:
        async with self._moved:
            self.waiting += 1
            self._moved.notify_all()
            try:
                async with asyncio.timeout(_BLOCK_S):
                    await self._moved.wait_for(lambda: self.newest >= (msn, part))
            except TimeoutError:
                return False
            finally:
                self.waiting -= 1
        return True


@asynccontextmanager
async def origin(handler: Handler | None = None) -> AsyncIterator[Origin]:
    """A running origin; stopped at the end."""
    server = Origin(handler)
    await server.start()
    try:
        yield server
    finally:
        await server.kill()
