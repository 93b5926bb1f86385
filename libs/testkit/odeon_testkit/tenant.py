"""A tenant at work on a running deployment: its API calls, its publisher, its viewers."""

import asyncio
import json
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from odeon_testkit.recording import parse_media, renditions
from odeon_testkit.wait import until

SIZE, FRAME_RATE = "640x360", 15
"""What two cores bear several times over."""


@dataclass(frozen=True, slots=True)
class Api:
    """The gateway's JSON face with a tenant's API key, as a tenant's server uses it."""

    http: httpx.AsyncClient
    gateway: str

    async def ask(self, method: str, /, **fields: Any) -> httpx.Response:
        """An RPC by its path behind "odeon.", e.g. "room.v1.RoomService/GetEvent"."""
        return await self.http.post(f"{self.gateway}/odeon.{method}", json=fields)

    async def call(self, method: str, /, **fields: Any) -> dict[str, Any]:
        """The same, and the answer must be good."""
        answer = await self.ask(method, **fields)
        assert answer.status_code == 200, f"{method}: {answer.text}"
        body: dict[str, Any] = answer.json()
        return body

    async def live_event(self, **fields: Any) -> tuple[str, dict[str, str]]:
        """A new event that is live; its name and its links."""
        body = await self.call(
            "room.v1.RoomService/CreateEvent",
            event_id=f"t-{secrets.token_hex(4)}",
            event={"title": "Test", "state": "STATE_LIVE", **fields},
        )
        return body["event"]["name"], body["links"]


@asynccontextmanager
async def api_with(gateway: str, key: str) -> AsyncIterator[Api]:
    """The JSON face of a gateway with an API key."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=15) as http:
        yield Api(http, gateway)


@asynccontextmanager
async def publishing(links: dict[str, str], *flags: str) -> AsyncIterator[None]:
    """`odeon publish --test-card` to an event, in a process of its own."""
    command = [sys.executable, "-m", "odeon_cli", "publish", "--test-card", "--json"]
    command += ["--url", links["whipUrl"], "--size", SIZE, "--frame-rate", str(FRAME_RATE)]
    process = await asyncio.create_subprocess_exec(
        *command,
        *("--token", links["whipToken"], *flags),
        stdout=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def until_playing(url: str, *, segments: int = 1, limit_s: float = 45) -> None:
    """Return when every rendition has this many finished segments."""

    async def playing(http: httpx.AsyncClient) -> bool:
        try:
            video, audio = await renditions(http, url)
            texts = [(u, (await http.get(u)).raise_for_status().text) for u in (*video, *audio)]
        except (httpx.HTTPError, KeyError):
            return False
        counts = [sum(len(s) for _, s in parse_media(u, text).runs) for u, text in texts]
        return bool(video and audio) and min(counts) >= segments

    async with httpx.AsyncClient(timeout=10) as http:
        await until(lambda: playing(http), timeout_s=limit_s)


async def watch_report(url: str, *, seconds: float, token: str = "") -> dict[str, Any]:
    """The last line of `odeon watch --json`."""
    command = [sys.executable, "-m", "odeon_cli", "watch", url, "--json"]
    command += ["--seconds", str(seconds), *(["--token", token] if token else [])]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await process.communicate()
    lines = output.decode().splitlines()
    assert lines, "odeon watch said nothing"
    report: dict[str, Any] = json.loads(lines[-1])
    return report
