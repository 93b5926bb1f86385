"""Glass to glass in a real browser, lip sync, and the time from a click to the first picture.

The whole product runs here with its test card. Chromium plays the watch page, by LL-HLS and by
WHEP; latency is read from the pixels that it presents. Lip sync comes from decoded samples of
what an HLS viewer fetches.
"""

import asyncio
import math
from dataclasses import dataclass
from typing import Any

import httpx
from odeon_testkit.chromium import chromium
from odeon_testkit.product import Product
from odeon_testkit.recording import fetch, lip_sync_ms, renditions

from odeon_loadtest.pictures import STALL_S, Shown, shown_on
from odeon_loadtest.processes import need_chromium
from odeon_loadtest.report import Bar, Report, percentile
from odeon_loadtest.transcoder import TranscoderMetrics, product_and_metrics

DEMO_SIZE = "640x360"
_WARM_START_S = 20.0
_FRAME_RATE = 30
_WHOLE_RATE = Bar(">=", 0.9 * _FRAME_RATE)
"""A player that leaves out more than every tenth picture does not show what was sent."""
# Not wait_for_function: that evaluates strings in the page, which its CSP rightly refuses.
_FIRST_SAMPLE = """() => new Promise(resolve => {
  const look = () => window.__odeon?.glass?.samples.length ? resolve() : setTimeout(look, 50);
  look();
})"""
_CLICK_TO_FRAME = """label => new Promise((resolve, reject) => {
  const button = [...document.querySelectorAll('button, [role=radio]')]
    .find(b => b.textContent.trim() === label);
  const clicked = performance.timeOrigin + performance.now();
  const timer = setTimeout(() => reject(new Error('no picture in 10 s')), 10000);
  const look = () => {
    const seen = window.__odeon.marks['first-frame'] ?? 0;
    if (seen > clicked) { clearTimeout(timer); resolve(seen - clicked); }
    else requestAnimationFrame(look);
  };
  button.click();
  look();
})"""


@dataclass(frozen=True, slots=True)
class Size:
    """Windows in seconds, and how many joins."""

    settle_s: float
    hls_s: float
    whep_s: float
    joins: int


FULL = Size(settle_s=12, hls_s=60, whep_s=30, joins=20)
QUICK = Size(settle_s=6, hls_s=8, whep_s=5, joins=3)


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    need_chromium()
    size = QUICK if quick else FULL
    report = Report("latency", quick=quick)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with product_and_metrics("--demo-size", DEMO_SIZE) as (product, metrics):
        # `odeon up` says that it is ready once the demo's first part can be played.
        started_s = loop.time() - began
        report.add("warm_start_to_first_part", started_s, "s", Bar("<=", _WARM_START_S))
        async with chromium() as browser:
            page = await watching(browser, product)
            await asyncio.sleep(size.settle_s)
            _judge_hls(report, await shown_on(page, size.hls_s))
            await _capture_to_ack(report, metrics)
            await _lip_sync(report, product)
            await _joins(report, page, size)
            await instantly(page)
            await asyncio.sleep(size.settle_s / 2)
            _judge_whep(report, await shown_on(page, size.whep_s))
    report.notes.append(
        f"test card {DEMO_SIZE} at {_FRAME_RATE} fps, headless Chromium on the same machine; "
        f"a stall is a gap between frames of more than {STALL_S:g} s"
    )
    return report


async def watching(browser: Any, product: Product) -> Any:
    """The watch page of the demo event in a new tab, playing and being measured."""
    page = await browser.new_page()
    await page.goto(product["watch_url"].replace("#", "?debug=1#"))
    async with asyncio.timeout(30):
        await page.evaluate(_FIRST_SAMPLE)
    return page


async def instantly(page: Any) -> float:
    """Switch a watch page to WebRTC; milliseconds from the click to the first decoded frame."""
    waited: float = await page.evaluate(_CLICK_TO_FRAME, "Instant")
    return waited


def _judge_hls(report: Report, shown: Shown) -> None:
    report.add("hls_glass_to_glass_p50", percentile(shown.latencies_ms, 0.5), "ms")
    report.add(
        "hls_glass_to_glass_p95", percentile(shown.latencies_ms, 0.95), "ms", Bar("<=", 2000)
    )
    report.add("hls_stalls", shown.stalls, "count", Bar("==", 0))
    report.add("hls_longest_gap", shown.longest_gap_s, "s")
    report.add("hls_frames_per_second", shown.frames_per_second, "1/s", _WHOLE_RATE)


def _judge_whep(report: Report, shown: Shown) -> None:
    report.add("whep_glass_to_glass_p50", percentile(shown.latencies_ms, 0.5), "ms")
    report.add(
        "whep_glass_to_glass_p95", percentile(shown.latencies_ms, 0.95), "ms", Bar("<=", 200)
    )
    report.add("whep_longest_gap", shown.longest_gap_s, "s")
    report.add("whep_frames_per_second", shown.frames_per_second, "1/s", _WHOLE_RATE)


async def _joins(report: Report, page: Any, size: Size) -> None:
    waits: list[float] = []
    for _ in range(size.joins):
        waits.append(await instantly(page))
        await page.evaluate(_CLICK_TO_FRAME, "With rewind")
    report.add("join_to_frame_p50", percentile(waits, 0.5), "ms")
    report.add("join_to_frame_p95", percentile(waits, 0.95), "ms", Bar("<=", 500))


async def _capture_to_ack(report: Report, metrics: TranscoderMetrics) -> None:
    seconds = await metrics.value("odeon_transcoder_capture_to_ack_seconds")
    # The gauge is 0 as long as there is nothing to tell.
    report.add("capture_to_ack_p95", seconds * 1000 or math.nan, "ms", Bar("<=", 450))


async def _lip_sync(report: Report, product: Product) -> None:
    async with httpx.AsyncClient() as http:
        video, audio = await renditions(http, product["playlist_url"])
        _, pictures = await fetch(http, video[0])
        _, sound = await fetch(http, audio[0])
    # A rung that rests from the start, on a machine that bears no ladder, has nothing to compare.
    whole = bool(pictures and sound)
    errors = await asyncio.to_thread(lip_sync_ms, pictures[-1], sound[-1]) if whole else []
    report.add("lip_sync_p95", percentile([abs(e) for e in errors], 0.95), "ms", Bar("<=", 60))
