"""Blocking LL-HLS viewers in a process of their own: `python -m odeon_loadtest.viewers PLAN.json`.

Each viewer keeps one connection, asks for the playlist that holds the next part (it blocks until
the part exists), notes when the answer is complete, fetches the part if asked to, and goes on
until a request fails. Whoever still waits well after the last part is given up: what he did not
get is missing from the arrivals. Prints one JSON line:
{"playlist": {"msn.part": [arrival, …]}, "part": {…}, "failed": {"503": n}, "body_bytes": n};
arrivals are CLOCK_MONOTONIC seconds, which all processes of a machine share.
"""

import asyncio
import json
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvloop

PARTS_PER_SEGMENT = 6
_SEGMENT_S = 2.0
_PATIENCE_S = 10.0
"""Longer than the origin holds a request for a part that does not come."""
_HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: one viewer for each prefix ("/t/<token>" or "")."""

    host: str
    port: int
    prefixes: list[str]
    track: str
    first_msn: int
    last_msn: int
    fetch_parts: bool


@dataclass(slots=True)
class Seen:
    """Arrival times by "msn.part", failed requests by status (0: connection lost), body bytes."""

    playlist: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    part: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    body_bytes: int = 0


class Viewer(asyncio.Protocol):
    """One connection; a request at a time, the smallest client that reads a whole answer."""

    def __init__(self, host: str) -> None:
        self.body_bytes = 0
        self._host = host
        self._buffer = bytearray()
        self._missing = -1
        self._status = 0
        self._answer: asyncio.Future[int] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        """Connected."""
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        """The server went away: the request under way failed."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(0)

    def data_received(self, data: bytes) -> None:
        """Collect until the whole answer is there."""
        if self._missing < 0:
            self._buffer += data
            end = self._buffer.find(_HEAD_END)
            if end < 0:
                return
            head = bytes(self._buffer[:end]).lower()
            self._status = int(head[9:12])
            length = head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]
            self.body_bytes = int(length or 0)
            self._missing = self.body_bytes - (len(self._buffer) - end - len(_HEAD_END))
            self._buffer.clear()
        else:
            self._missing -= len(data)
        if self._missing <= 0 and self._answer is not None:
            self._missing = -1
            self._answer.set_result(self._status)

    async def get(self, path: str) -> int:
        """Status of the answer once its body is complete; 0 when the connection broke."""
        if self._transport is None or self._transport.is_closing():
            return 0
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode())
        return await self._answer


async def _watch(plan: Plan, prefix: str, seen: Seen) -> None:
    loop = asyncio.get_running_loop()
    base = f"{prefix}/{plan.track}"
    try:
        _, viewer = await loop.create_connection(lambda: Viewer(plan.host), plan.host, plan.port)
    except OSError:
        seen.failed["0"] += 1
        return
    for msn in range(plan.first_msn, plan.last_msn + 1):
        for part in range(PARTS_PER_SEGMENT):
            name = f"{msn}.{part}"
            steps = [(seen.playlist, f"{base}/index.m3u8?_HLS_msn={msn}&_HLS_part={part}")]
            if plan.fetch_parts:
                steps.append((seen.part, f"{base}/p{name}.m4s"))
            for kind, path in steps:
                status = await viewer.get(path)
                if status != 200:
                    seen.failed[str(status)] += 1
                    return
                kind[name].append(time.monotonic())
                seen.body_bytes += viewer.body_bytes


async def _run(plan: Plan) -> None:
    seen = Seen()
    with suppress(TimeoutError):
        # One segment more: the first is chosen before it has begun.
        limit_s = _SEGMENT_S * (plan.last_msn - plan.first_msn + 2) + _PATIENCE_S
        async with asyncio.timeout(limit_s), asyncio.TaskGroup() as group:
            for prefix in plan.prefixes:
                group.create_task(_watch(plan, prefix, seen))
    arrived = {"playlist": seen.playlist, "part": seen.part}
    print(json.dumps({**arrived, "failed": seen.failed, "body_bytes": seen.body_bytes}))


if __name__ == "__main__":
    uvloop.run(_run(Plan(**json.loads(Path(sys.argv[1]).read_text()))))
