"""Glass to glass in a real browser, lip sync, and the time from a click to the first picture.

The whole product runs here with its test card. Chromium plays the watch page, by LL-HLS and by
WHEP; latency is read from the pixels that it presents. Lip sync comes from decoded samples of
what an HLS viewer fetches.
"""

import asyncio
import math
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
from odeon_testkit.chromium import ChromiumMissing, chromium, chromium_program
from odeon_testkit.product import Product, running_product
from odeon_testkit.recording import fetch, lip_sync_ms, renditions

from odeon_loadtest.processes import Missing, free_port
from odeon_loadtest.report import Bar, Report, percentile

DEMO_SIZE = "640x360"
_STALL_MS = 700.0
_SAMPLES = """from => window.__odeon.glass.samples.slice(from)
  .map(s => [s.at, s.latencyMs, s.reading.counter])"""
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
    try:
        chromium_program()
    except ChromiumMissing as missing:
        raise Missing(str(missing)) from missing
    size = QUICK if quick else FULL
    report = Report("latency", quick=quick)
    metrics = free_port()
    env = {"ODEON_TRANSCODER_METRICS_PORT": str(metrics)}
    async with (
        running_product("--demo-size", DEMO_SIZE, env=env) as product,
        chromium() as browser,
    ):
        page = await watching(browser, product)
        await asyncio.sleep(size.settle_s)
        await _hls(report, page, size)
        await _capture_to_ack(report, metrics)
        await _lip_sync(report, product)
        await _joins(report, page, size)
        await _whep(report, page, size)
    report.notes.append(f"test card {DEMO_SIZE} at 30 fps, headless Chromium on the same machine")
    return report


async def watching(browser: Any, product: Product) -> Any:
    """The watch page of the demo event in a new tab, playing and being measured."""
    page = await browser.new_page()
    await page.goto(product["watch_url"].replace("#", "?debug=1#"))
    async with asyncio.timeout(30):
        await page.evaluate(_FIRST_SAMPLE)
    return page


async def _collect(page: Any, seconds: float) -> list[tuple[float, float, int]]:
    start = await page.evaluate("window.__odeon.glass.samples.length")
    await asyncio.sleep(seconds)
    samples: list[tuple[float, float, int]] = await page.evaluate(_SAMPLES, start)
    return samples


async def _hls(report: Report, page: Any, size: Size) -> None:
    samples = await _collect(page, size.hls_s)
    latencies = [latency for _, latency, _ in samples]
    shown = [at for at, _, _ in samples]
    stalls = sum(b - a > _STALL_MS for a, b in pairwise(shown))
    report.add("hls_glass_to_glass_p50", percentile(latencies, 0.5), "ms")
    report.add("hls_glass_to_glass_p95", percentile(latencies, 0.95), "ms", Bar("<=", 2000))
    report.add("hls_stalls", stalls if samples else math.nan, "count", Bar("==", 0))
    report.add("hls_frames_per_second", len(samples) / size.hls_s, "1/s")


async def _whep(report: Report, page: Any, size: Size) -> None:
    await page.get_by_text("Instant").click()
    await asyncio.sleep(size.settle_s / 2)
    samples = await _collect(page, size.whep_s)
    latencies = [latency for _, latency, _ in samples]
    report.add("whep_glass_to_glass_p50", percentile(latencies, 0.5), "ms")
    report.add("whep_glass_to_glass_p95", percentile(latencies, 0.95), "ms", Bar("<=", 200))
    report.add("whep_frames_per_second", len(samples) / size.whep_s, "1/s")


async def _joins(report: Report, page: Any, size: Size) -> None:
    waits: list[float] = []
    for _ in range(size.joins):
        waits.append(await page.evaluate(_CLICK_TO_FRAME, "Instant"))
        await page.evaluate(_CLICK_TO_FRAME, "With rewind")
    report.add("join_to_frame_p50", percentile(waits, 0.5), "ms")
    report.add("join_to_frame_p95", percentile(waits, 0.95), "ms", Bar("<=", 500))


async def _capture_to_ack(report: Report, metrics: int) -> None:
    async with httpx.AsyncClient() as http:
        page = (await http.get(f"http://127.0.0.1:{metrics}/metrics")).text
    found = re.search(r"^odeon_transcoder_capture_to_ack_seconds (\S+)", page, re.MULTILINE)
    value = float(found[1]) * 1000 if found and float(found[1]) > 0 else math.nan
    report.add("capture_to_ack_p95", value, "ms", Bar("<=", 450))


async def _lip_sync(report: Report, product: Product) -> None:
    async with httpx.AsyncClient() as http:
        video, audio = await renditions(http, product["playlist_url"])
        _, pictures = await fetch(http, video[0])
        _, sound = await fetch(http, audio[0])
    errors = await asyncio.to_thread(lip_sync_ms, pictures[-1], sound[-1])
    report.add("lip_sync_p95", percentile([abs(e) for e in errors], 0.95), "ms", Bar("<=", 60))
