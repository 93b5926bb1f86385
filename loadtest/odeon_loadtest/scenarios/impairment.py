"""A viewer by WebRTC whose path becomes narrow: what is seen, and how soon it is good again.

A simulcast publisher sends three layers; Chromium plays the programme by WHEP through a relay that
stands for the viewer's access network. Its rate falls to 600 kb/s, which the best layer alone takes
twice over, and later is lifted again. Layers are told by the width of the frames that the browser
presents, freezes by the gaps between them.
"""

import asyncio
import math
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from odeon_testkit.chromium import chromium
from odeon_testkit.impair import Relay, udp_relay
from odeon_testkit.product import Product, running_product
from odeon_testkit.tenant import api_with, until_playing
from odeon_testkit.wait import until

from odeon_loadtest.pictures import gaps_s
from odeon_loadtest.processes import need_chromium, running
from odeon_loadtest.report import Bar, Report
from odeon_loadtest.simulcast import LAYERS

_RATE_BPS = 600_000
_BEST = max(width for width, _, _ in LAYERS.values())
_BEST_S = 20.0
"""The best layer has to be there within this long before the path becomes narrow."""
# The answer names the node's address; the browser is to send to the relay's.
_THROUGH_RELAY = """
  const set = RTCPeerConnection.prototype.setRemoteDescription
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    const sdp = description.sdp.replaceAll(' NODE typ host', ' RELAY typ host')
    return set.call(this, { type: description.type, sdp })
  }
"""
_RECORD = """() => {
  const video = document.querySelector('video')
  const seen = (window.__presented = [])
  const next = () => video.requestVideoFrameCallback((_, frame) => {
    seen.push([performance.timeOrigin + frame.presentationTime, frame.width])
    next()
  })
  next()
}"""

Presented = tuple[float, int]
"""When a frame was presented, unix milliseconds, and its width."""


@dataclass(frozen=True, slots=True)
class Size:
    """Windows in seconds."""

    steady_s: float
    narrow_s: float
    lifted_s: float


FULL = Size(steady_s=10, narrow_s=30, lifted_s=20)
QUICK = Size(steady_s=3, narrow_s=7, lifted_s=10)


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    need_chromium()
    size = QUICK if quick else FULL
    report = Report("impairment", quick=quick)
    async with running_product("--no-demo") as product, _publishing(product) as links:
        host, _, port = product["media"].rpartition(":")
        async with udp_relay((host, int(port))) as relay, chromium() as tabs:
            page = await _watching(tabs, links["watchUrl"], relay, product)
            await _narrow_and_lift(report, page, relay, size)
    report.notes.append(
        f"path of {_RATE_BPS // 1000} kb/s with a queue of {relay.link.queue_s:g} s; layers of "
        + ", ".join(f"{bps // 1000} kb/s" for _, _, bps in LAYERS.values())
        + f"; {relay.stats.dropped} of {relay.stats.packets} packets lost"
    )
    return report


@asynccontextmanager
async def _publishing(product: Product) -> AsyncIterator[dict[str, str]]:
    """A live event with the simulcast publisher on stage; its links."""
    async with api_with(product["gateway"], product["api_key"]) as api:
        event, links = await api.live_event()
        command = [sys.executable, "-m", "odeon_loadtest.simulcast"]
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "publisher.log"
            async with running([*command, links["whipUrl"], links["whipToken"]], log=log):
                await until_playing(links["playlistUrl"])
                yield links
        await api.call("room.v1.RoomService/EndEvent", name=event)


async def _watching(tabs: Any, url: str, relay: Relay, product: Product) -> Any:
    """The watch page, playing by WHEP through the relay."""
    node = product["media"].rpartition(":")[2]
    script = _THROUGH_RELAY.replace("NODE", node).replace("RELAY", str(relay.address[1]))
    await tabs.add_init_script(script)
    page = await tabs.new_page()
    await page.goto(url)
    await page.get_by_test_id("choose-whep").click()
    await page.evaluate(_RECORD)
    return page


async def _presented(page: Any) -> list[Presented]:
    frames: list[Presented] = await page.evaluate("window.__presented")
    return frames


async def _narrow_and_lift(report: Report, page: Any, relay: Relay, size: Size) -> None:
    async def best() -> bool:
        return any(width == _BEST for _, width in (await _presented(page))[-5:])

    await until(best, timeout_s=_BEST_S)
    steady = await _now(page)
    await asyncio.sleep(size.steady_s)
    relay.change(rate_bps=_RATE_BPS)
    narrow = await _now(page)
    await asyncio.sleep(size.narrow_s)
    relay.change(rate_bps=None)
    lifted = await _now(page)
    await asyncio.sleep(size.lifted_s)
    frames, end = await _presented(page), await _now(page)

    dropped = first_after(frames, narrow, lifted, lambda width: width < _BEST)
    recovered = first_after(frames, lifted, end, lambda width: width == _BEST)
    shown = sum(narrow <= at < lifted for at, _ in frames)
    report.add("layer_dropped_after", dropped, "s", Bar("<=", 3))
    report.add("freeze_max", longest_gap_s(frames, narrow, lifted), "s", Bar("<=", 1))
    report.add("layer_recovered_after", recovered, "s", Bar("<=", 10))
    report.add("freeze_max_after_lift", longest_gap_s(frames, lifted, end), "s", Bar("<=", 1))
    report.add("freeze_max_before", longest_gap_s(frames, steady, narrow), "s")
    report.add("frames_per_second_limited", shown / size.narrow_s, "1/s")


async def _now(page: Any) -> float:
    now: float = await page.evaluate("performance.timeOrigin + performance.now()")
    return now


def first_after(
    frames: Sequence[Presented], begun_ms: float, ended_ms: float, wanted: Callable[[int], bool]
) -> float:
    """Seconds until the first frame of a wanted width; NaN when there is none in the window."""
    for at, width in frames:
        if begun_ms <= at < ended_ms and wanted(width):
            return (at - begun_ms) / 1000
    return math.nan


def longest_gap_s(frames: Sequence[Presented], begun_ms: float, ended_ms: float) -> float:
    """Longest time without a new frame in a window, its ends included."""
    inside = (at for at, _ in frames if begun_ms < at < ended_ms)
    return max(gaps_s(begun_ms, inside, ended_ms))
