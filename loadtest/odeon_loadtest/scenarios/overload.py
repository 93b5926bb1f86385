"""What viewers notice when the encoder gets far less CPU than its ladder needs.

The whole product runs with a test card in 1280x720, so that there are three rungs, while Chromium
watches. Then the process that encodes gets 30 % of one core. The top rung must rest soon, and the
picture that is shown must not fall ever further behind.

Latency is that of whatever the page shows at a moment, ten times a second: a picture that stands
still gets older, so a stall counts in full.
"""

import asyncio
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from odeon_testkit.chromium import chromium
from odeon_testkit.wait import until

from odeon_loadtest.processes import need_chromium
from odeon_loadtest.report import Bar, Report, percentile
from odeon_loadtest.scenarios.latency import watching
from odeon_loadtest.throttle import cpu_quota
from odeon_loadtest.transcoder import TranscoderMetrics, encoder_pid, product_and_metrics

_SIZE = "1280x720"
_QUOTA = 0.3
_RESTING = "odeon_transcoder_rungs_resting"
_TICK_MS = 100
_SHOWN = "() => window.__odeon.glass.samples.map(s => [s.at, s.latencyMs])"


@dataclass(frozen=True, slots=True)
class Size:
    """Windows in seconds; without `lifted_s` the quota stays until the end."""

    settle_s: float
    squeezed_s: float
    lifted_s: float


FULL = Size(settle_s=12, squeezed_s=60, lifted_s=60)
QUICK = Size(settle_s=4, squeezed_s=24, lifted_s=0)


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    need_chromium()
    size = QUICK if quick else FULL
    report = Report("overload", quick=quick)
    async with product_and_metrics("--demo-size", _SIZE) as (product, metrics), chromium() as tabs:
        page = await watching(tabs, product)
        await asyncio.sleep(size.settle_s)
        report.add("rungs_resting_before", await metrics.value(_RESTING), "count", Bar("==", 0))
        pid = encoder_pid(product)
        async with cpu_quota(pid, _QUOTA) as means:
            await _squeezed(report, page, metrics, size)
        report.add("encoder_restarts", float(encoder_pid(product) != pid), "count", Bar("==", 0))
        if size.lifted_s:
            await _lifted(report, metrics, size)
    report.notes.append(
        f"test card {_SIZE} at 30 fps; encoder held to {_QUOTA:.0%} of a core by {means}"
    )
    return report


async def _squeezed(report: Report, page: Any, metrics: TranscoderMetrics, size: Size) -> None:
    begun = await page.evaluate("Date.now()")
    stopped, _ = await asyncio.gather(
        _seconds_until_resting(metrics, size.squeezed_s), asyncio.sleep(size.squeezed_s)
    )
    samples = await page.evaluate(_SHOWN)
    latencies = shown_latencies(samples, begun, begun + size.squeezed_s * 1000)
    report.add("top_rung_stopped_after", stopped, "s", Bar("<=", 5))
    report.add("hls_glass_to_glass_p95", percentile(latencies, 0.95), "ms", Bar("<=", 4000))
    report.add("hls_glass_to_glass_max", max(latencies, default=math.nan), "ms")
    report.add("rungs_resting", await metrics.value(_RESTING), "count")


async def _seconds_until_resting(metrics: TranscoderMetrics, limit_s: float) -> float:
    """How long until a rung rests, to the second that the metrics are refreshed in; else NaN."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def resting() -> bool:
        return await metrics.value(_RESTING) > 0

    try:
        await until(resting, timeout_s=limit_s)
    except TimeoutError:
        return math.nan
    return loop.time() - begun


async def _lifted(report: Report, metrics: TranscoderMetrics, size: Size) -> None:
    """Whether the ladder is whole again within the window; how soon is the guard's policy."""

    async def whole() -> bool:
        return await metrics.value(_RESTING) == 0

    begun = asyncio.get_running_loop().time()
    try:
        await until(whole, timeout_s=size.lifted_s)
        took = asyncio.get_running_loop().time() - begun
    except TimeoutError:
        took = math.nan
    report.add("ladder_whole_after", took, "s")


def shown_latencies(
    samples: Sequence[tuple[float, float]], begun_ms: float, ended_ms: float
) -> list[float]:
    """Age in ms of the picture on show at every tick, from (shown at, its latency) in ms."""
    times = [at for at, _ in samples]
    found = []
    for tick in range(math.ceil(begun_ms), math.floor(ended_ms), _TICK_MS):
        index = bisect_right(times, tick) - 1
        if index >= 0:
            at, latency = samples[index]
            found.append(latency + tick - at)
    return found
