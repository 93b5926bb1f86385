"""What a viewer notices when an encoder, the recorder or NATS goes away in the middle of an event.

The whole product runs with its test card while Chromium watches. The encoder's process and the
recorder are killed with SIGKILL. NATS is away in two ways (see `nats_outage`), while a tenant goes
on making events: then a second page watches by WebRTC, and jobs and facts are counted.
"""

import asyncio
import math
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
from odeon_testkit.chromium import chromium
from odeon_testkit.llhls import Listed, errors
from odeon_testkit.llhls import watch as check_playlists
from odeon_testkit.product import Product, running_product
from odeon_testkit.tenant import Api, api_with
from odeon_testkit.wait import until

from odeon_loadtest import ledger, nats_outage
from odeon_loadtest.origin import Origin, aligned, closed_between, new_gaps, origin_of
from odeon_loadtest.pictures import STALL_S, Shown, shown_on
from odeon_loadtest.processes import need_chromium
from odeon_loadtest.report import Bar, Report
from odeon_loadtest.scenarios.latency import DEMO_SIZE, instantly, watching
from odeon_loadtest.transcoder import encoder_pid, pipelines

_BACK_S = 3.0
_LINGER_S = 15.0
_NONE = Bar("==", 0)


@dataclass(frozen=True, slots=True)
class Size:
    """Windows in seconds."""

    settle_s: float
    after_s: float
    nats_s: float


FULL = Size(settle_s=10, after_s=12, nats_s=60)
QUICK = Size(settle_s=2, after_s=4, nats_s=3)


@dataclass(frozen=True, slots=True)
class Scene:
    """A deployment with its demo event, and how to look at it from all sides."""

    product: Product
    api: Api
    origin: Origin
    hls: Any
    size: Size


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    need_chromium()
    size = QUICK if quick else FULL
    report = Report("recovery", quick=quick)
    # The store that facts are counted in; chDB's files can be read by one process only.
    store = {"ODEON_ANALYTICS_STORE": "sqlite"}
    async with (
        running_product("--demo-size", DEMO_SIZE, env=store) as product,
        chromium() as browser,
        httpx.AsyncClient(timeout=30) as http,
        api_with(product["gateway"], product["api_key"]) as api,
    ):
        page = await watching(browser, product)
        scene = Scene(product, api, origin_of(product, http), page, size)
        await asyncio.sleep(size.settle_s)
        await _kill_transcoder(report, scene)
        await _kill_recorder(report, scene)
        stage = await watching(browser, product)
        await instantly(stage)
        await _lose_nats(report, "nats_hung", nats_outage.hung, scene, stage)
        await _lose_nats(report, "nats_stopped", nats_outage.stopped, scene, stage)
    report.notes.append(
        f"test card {DEMO_SIZE} at 30 fps; NATS away for {size.nats_s:g} s each time"
    )
    return report


async def _kill_transcoder(report: Report, scene: Scene) -> None:
    before = await scene.origin.playlists()
    # At the recorder: fetching all renditions at once is more than an edge grants one viewer.
    rules = asyncio.create_task(
        check_playlists(scene.origin.main, scene.size.after_s), name="playlist rules"
    )
    os.kill(encoder_pid(scene.product), signal.SIGKILL)
    shown = await shown_on(scene.hls, scene.size.after_s)
    seen = await rules
    after = await scene.origin.playlists()
    report.add("transcoder_kill_stall", shown.longest_gap_s, "s", Bar("<=", _BACK_S))
    backwards = sum(after[url].edge <= before[url].edge for url in before)
    report.add("transcoder_kill_sequence_back", backwards, "count", _NONE)
    report.add(
        "transcoder_kill_renditions_aligned", float(aligned(after.values())), "bool", Bar("==", 1)
    )
    report.add("transcoder_kill_rule_errors", len(errors(seen.findings)), "count", _NONE)
    # Three renditions at least; half of what a run without a fault would bring.
    least = 3 * 3 * (scene.size.after_s - _BACK_S) / 2
    report.add("transcoder_kill_parts_checked", seen.parts, "count", Bar(">=", least))
    report.notes += [str(finding) for finding in errors(seen.findings)[:5]]


async def _kill_recorder(report: Report, scene: Scene) -> None:
    known = await scene.origin.digests()
    # Once more, quickly: what was acknowledged while the first round took its time.
    held = await scene.origin.digests(known)
    before = await scene.origin.playlists()
    os.kill(scene.product.process_of("-m odeon_recorder"), signal.SIGKILL)
    shown = await shown_on(scene.hls, scene.size.after_s)
    lost = await scene.origin.lost(held)
    # A part acknowledged after the last look would not come again: its loss leaves a gap.
    holes = new_gaps(before, await scene.origin.playlists())
    parts = sum(url.rpartition("/")[2].startswith("p") for url in held)
    report.add("recorder_kill_lost_parts", len(lost), "count", _NONE)
    report.add("recorder_kill_new_gaps", holes, "count", _NONE)
    report.add("recorder_kill_parts_compared", parts or math.nan, "count", Bar(">=", 18))
    report.add("recorder_kill_files_compared", len(held), "count")
    report.add("recorder_kill_stall", shown.longest_gap_s, "s", Bar("<=", _BACK_S))
    report.notes += [f"lost: {url.rpartition('/demo/')[2]}" for url in lost[:5]]


async def _lose_nats(
    report: Report, name: str, outage: nats_outage.Outage, scene: Scene, stage: Any
) -> None:
    before = await ledger.jobs(scene.api)
    encoders, busiest = len(pipelines(scene.product)), encoder_pid(scene.product)
    first = await scene.origin.playlists()
    window_s = scene.size.nats_s + scene.size.after_s
    async with asyncio.TaskGroup() as group:
        pages = [group.create_task(shown_on(page, window_s)) for page in (scene.hls, stage)]
        async with outage(scene.product):
            made, _ = await asyncio.gather(
                ledger.make_events(scene.api), asyncio.sleep(scene.size.nats_s)
            )
        last = await scene.origin.playlists()
        fresh = await ledger.end_once_claimed(scene.api, made.live)
    kept = ledger.jobs_tally(before, await ledger.jobs(scene.api))
    died = int(encoder_pid(scene.product) != busiest)
    extra = await _extra_encoders(scene.product, encoders)
    facts = made.facts() | _closed(first, last)
    told = await ledger.facts_of(scene.product.data_dir, facts)
    _judge_stalls(report, name, *(page.result() for page in pages))
    report.add(f"{name}_jobs_lost", kept.lost + fresh.lost + died, "count", _NONE)
    report.add(f"{name}_jobs_doubled", kept.doubled + fresh.doubled + extra, "count", _NONE)
    report.add(f"{name}_facts_lost", told.lost, "count", _NONE)
    report.add(f"{name}_facts_doubled", told.doubled, "count", _NONE)
    report.notes += [f"{name}: never told: {fact}" for fact in told.names[:5]]
    report.add(f"{name}_facts_counted", len(facts), "count", Bar(">", len(made.facts())))


def _judge_stalls(report: Report, name: str, hls: Shown, whep: Shown) -> None:
    report.add(f"{name}_hls_stall", hls.longest_gap_s, "s", Bar("<=", STALL_S))
    report.add(f"{name}_whep_stall", whep.longest_gap_s, "s", Bar("<=", STALL_S))


async def _extra_encoders(product: Product, before: int) -> int:
    """How many more there are for good: that of an ended job may take a while to go."""

    async def gone() -> bool:
        return len(pipelines(product)) <= before

    with suppress(TimeoutError):
        await until(gone, timeout_s=_LINGER_S)
    return max(0, len(pipelines(product)) - before)


def _closed(first: dict[str, Listed], last: dict[str, Listed]) -> set[ledger.Fact]:
    """Facts of the segments that were closed between two looks at the demo's playlists."""
    return {
        ledger.Fact("demo", "segment_closed", ledger.segment(url.split("/")[-2], msn))
        for url in first
        for msn in closed_between(first[url], last[url])
    }
