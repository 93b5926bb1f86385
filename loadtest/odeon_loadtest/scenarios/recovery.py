"""What a viewer notices when an encoder, the recorder or NATS goes away in the middle of an event.

The whole product runs with its test card while Chromium watches. The encoder's process and the
recorder are killed with SIGKILL; NATS is stopped with SIGSTOP and goes on later, which is harder
than a closed connection. Stalls are gaps between frames that the browser presents.
"""

import asyncio
import hashlib
import math
import os
import signal
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import httpx
from odeon_testkit.chromium import ChromiumMissing, chromium, chromium_program
from odeon_testkit.llhls import errors, parse
from odeon_testkit.llhls import watch as check_playlists
from odeon_testkit.product import Product, running_product
from odeon_testkit.recording import get, parse_media, renditions

from odeon_loadtest.cpu import tree
from odeon_loadtest.processes import Missing
from odeon_loadtest.report import Bar, Report
from odeon_loadtest.scenarios.latency import DEMO_SIZE, watching

_NO_STALL_S = 0.7


@dataclass(frozen=True, slots=True)
class Size:
    """Windows in seconds."""

    settle_s: float
    after_s: float
    nats_s: float


FULL = Size(settle_s=10, after_s=12, nats_s=60)
QUICK = Size(settle_s=4, after_s=7, nats_s=8)


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    try:
        chromium_program()
    except ChromiumMissing as missing:
        raise Missing(str(missing)) from missing
    size = QUICK if quick else FULL
    report = Report("recovery", quick=quick)
    async with (
        running_product("--demo-size", DEMO_SIZE) as product,
        chromium() as browser,
        httpx.AsyncClient(timeout=10) as http,
    ):
        page = await watching(browser, product)
        await asyncio.sleep(size.settle_s)
        await _kill_transcoder(report, product, page, http, size)
        await _kill_recorder(report, product, page, http, size)
        await _stop_nats(report, product, page, size)
    report.notes.append(f"test card {DEMO_SIZE} at 30 fps; NATS stopped for {size.nats_s:g} s")
    return report


def process_of(product: Product, words: str) -> int:
    """Process id of the first process below `odeon up` whose command line has `words`."""
    for pid in tree(product.process.pid):
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
        if words in command:
            return pid
    raise LookupError(f"no process {words!r} below odeon up")


async def longest_gap_s(page: Any, seconds: float) -> float:
    """Longest time without a new frame on the page during the next `seconds`."""
    start = await page.evaluate("Math.max(0, window.__odeon.glass.samples.length - 1)")
    began = await page.evaluate("Date.now()")
    await asyncio.sleep(seconds)
    shown: list[float] = await page.evaluate(
        "from => window.__odeon.glass.samples.slice(from).map(s => s.at)", start
    )
    now = await page.evaluate("Date.now()")
    times: list[float] = [began, *(at for at in shown if at > began), now]
    return max(after - before for before, after in pairwise(times)) / 1000


async def _playlists(http: httpx.AsyncClient, product: Product) -> dict[str, str]:
    video, audio = await renditions(http, product["playlist_url"])
    return {url: (await get(http, url)).text for url in (*video, *audio)}


async def _kill_transcoder(
    report: Report, product: Product, page: Any, http: httpx.AsyncClient, size: Size
) -> None:
    before = await _playlists(http, product)
    watching_rules = asyncio.create_task(
        check_playlists(product["playlist_url"], size.after_s), name="playlist rules"
    )
    os.kill(_encoder_pid(product), signal.SIGKILL)
    gap = await longest_gap_s(page, size.after_s)
    rules = await watching_rules
    after = await _playlists(http, product)
    report.add("transcoder_kill_stall", gap, "s", Bar("<=", 3))
    backwards = sum(parse(after[url]).edge <= parse(before[url]).edge for url in before)
    report.add("transcoder_kill_sequence_back", backwards, "count", Bar("==", 0))
    marks = [_discontinuity_msns(text) for text in after.values()]
    aligned = bool(marks[0]) and all(found == marks[0] for found in marks)
    report.add("transcoder_kill_renditions_aligned", float(aligned), "bool", Bar("==", 1))
    report.add("transcoder_kill_rule_errors", len(errors(rules.findings)), "count", Bar("==", 0))
    report.notes += [str(finding) for finding in errors(rules.findings)[:5]]


def _encoder_pid(product: Product) -> int:
    """The process of the job that is running: the busiest pipeline process, not the spare."""
    busiest, most = 0, -1
    for pid in tree(product.process.pid):
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if b"odeon_transcoder.pipeline" in command:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            used = int(fields[11]) + int(fields[12])
            busiest, most = (pid, used) if used > most else (busiest, most)
    if most < 0:
        raise LookupError("no encoder process below odeon up")
    return busiest


def _discontinuity_msns(text: str) -> list[int]:
    """Media sequence numbers of the segments that begin after a discontinuity."""
    msn, found, pending = 0, [], False
    for line in text.splitlines():
        if line.startswith("#EXT-X-MEDIA-SEQUENCE:"):
            msn = int(line.partition(":")[2])
        elif line == "#EXT-X-DISCONTINUITY":
            pending = True
        elif line.startswith("#EXTINF:"):
            if pending:
                found.append(msn)
            pending = False
            msn += 1
    return found


async def _segments(http: httpx.AsyncClient, product: Product) -> dict[str, str]:
    """SHA-256 of every finished segment of every rendition, by its address."""
    found: dict[str, str] = {}
    for url, text in (await _playlists(http, product)).items():
        for address in chain(*(segments for _, segments in parse_media(url, text).runs)):
            body = (await get(http, address)).content
            found[address] = hashlib.sha256(body).hexdigest()
    return found


async def _kill_recorder(
    report: Report, product: Product, page: Any, http: httpx.AsyncClient, size: Size
) -> None:
    before = await _segments(http, product)
    os.kill(process_of(product, "-m odeon_recorder"), signal.SIGKILL)
    gap = await longest_gap_s(page, size.after_s)
    async with httpx.AsyncClient(timeout=10, headers={"Cache-Control": "no-cache"}) as fresh:
        after = await _segments(fresh, product)
    lost = sum(after.get(address) != digest for address, digest in before.items())
    report.add("recorder_kill_lost_segments", lost, "count", Bar("==", 0))
    report.add("recorder_kill_stall", gap, "s", Bar("<=", 3))
    report.add("recorder_kill_segments_compared", len(before) or math.nan, "count")


async def _stop_nats(report: Report, product: Product, page: Any, size: Size) -> None:
    encoder = _encoder_pid(product)
    nats = process_of(product, "nats-server")
    os.kill(nats, signal.SIGSTOP)
    try:
        gap = await longest_gap_s(page, size.nats_s)
    finally:
        os.kill(nats, signal.SIGCONT)
    after = await longest_gap_s(page, size.after_s)
    report.add("nats_stop_stall", max(gap, after), "s", Bar("<=", _NO_STALL_S))
    lost = float(_encoder_pid(product) != encoder)
    report.add("nats_stop_jobs_lost", lost, "count", Bar("==", 0))
