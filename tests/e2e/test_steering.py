"""Content steering in a real player: viewers leave an edge that drains, and one that dies."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from odeon_testkit.pages import GLASS, STEP_S, debugged, grows, strict_browser
from odeon_testkit.product import Product
from odeon_testkit.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

SEGMENT_S = 2.0
FIRST, SECOND = "edge-1", "edge-2"
_PLAYED_S = """() => {
  const { played } = document.querySelector('video')
  return Array.from({ length: played.length }, (_, i) => played.end(i) - played.start(i))
    .reduce((sum, length) => sum + length, 0)
}"""
"""Seconds of the programme that were really played: stalls and what was skipped do not count."""


class Viewer:
    """A page that watches the demo event, and the hosts that it fetches media from."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.answers: list[tuple[float, str]] = []
        page.on("response", self._answered)

    def _answered(self, response: Any) -> None:
        url = urlsplit(response.url)
        if url.path.startswith("/t/") and not url.path.endswith("steering.json") and response.ok:
            self.answers.append((time.monotonic(), url.hostname or ""))

    async def is_served_by(self, host: str) -> None:
        """Return when the last dozen answers came from there."""

        async def served() -> bool:
            last = [name for _, name in self.answers[-12:]]
            return len(last) == 12 and set(last) == {host}

        await until(served, timeout_s=STEP_S)

    async def clock(self) -> tuple[float, float]:
        """Seconds that went by, and seconds that were played."""
        return time.monotonic(), float(await self.page.evaluate(_PLAYED_S))

    async def stood_s(self, since: tuple[float, float]) -> float:
        """How long the programme has stood since a clock was read."""
        now = await self.clock()
        return (now[0] - since[0]) - (now[1] - since[1])


@asynccontextmanager
async def viewer(product: Product) -> AsyncIterator[Viewer]:
    """A page that plays from the first edge."""
    async with strict_browser() as context:
        page = await context.new_page()
        watching = Viewer(page)
        await page.goto(debugged(product["watch_url"]))
        await watching.is_served_by(host_of(product, FIRST))
        await grows(page, GLASS, by=30)
        yield watching


def host_of(product: Product, edge: str) -> str:
    index = int(edge.rpartition("-")[2]) - 1
    return urlsplit(product.ready["edges"][index]).hostname or ""


def edge_pid(product: Product, edge: str) -> int | None:
    """The process that is this edge now."""
    parent = product.process.pid
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with suppress(OSError):
            if f"ODEON_EDGE_ID={edge}\0".encode() in Path(f"/proc/{pid}/environ").read_bytes():
                return int(pid)
    return None


@asynccontextmanager
async def kept_dead(product: Product, edge: str) -> AsyncIterator[None]:
    """Kill an edge, and again whenever it is started, as when its machine has gone."""

    async def killing() -> None:
        while True:
            pid = edge_pid(product, edge)
            if pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(killing(), name="killing")
    try:
        yield
    finally:
        task.cancel()
        await back(product)


async def back(product: Product) -> None:
    """Return when every edge serves the demo event."""
    path = urlsplit(product["playlist_url"]).path
    async with httpx.AsyncClient(timeout=5) as http:

        async def serve() -> bool:
            with suppress(httpx.HTTPError):
                answers = [await http.get(f"{url}{path}") for url in product.ready["edges"]]
                return all(answer.status_code == 200 for answer in answers)
            return False

        await until(serve, timeout_s=STEP_S)


async def test_viewers_leave_an_edge_that_drains_without_a_gap(product: Product) -> None:
    async with viewer(product) as watching:
        before = await watching.clock()
        draining = edge_pid(product, FIRST)
        assert draining is not None
        os.kill(draining, signal.SIGTERM)

        await watching.is_served_by(host_of(product, SECOND))
        assert edge_pid(product, FIRST) == draining, "the edge went before its viewers"

        async def replaced() -> bool:
            return edge_pid(product, FIRST) not in (None, draining)

        await until(replaced, timeout_s=STEP_S)
        await grows(watching.page, GLASS, by=30)
        assert await watching.stood_s(before) <= SEGMENT_S
    await back(product)


async def test_viewers_of_an_edge_that_dies_go_on_within_a_segment(product: Product) -> None:
    async with viewer(product) as watching:
        before = await watching.clock()
        async with kept_dead(product, FIRST):
            await watching.is_served_by(host_of(product, SECOND))
            await grows(watching.page, GLASS, by=30)

            assert await watching.stood_s(before) <= SEGMENT_S
