"""Blocking viewers through one edge, and the same viewers on the origin directly, in one run.

A real recorder gets a part every third of a second; 300 viewers block on each next one. Judged is
how much later they have it through the edge than without, that none waits in vain, that the edge
asked the origin once (as the origin counts it), and that analytics counts the same audience.
"""

import asyncio
import json
import math
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import Issuer

from odeon_loadtest.census import Census
from odeon_loadtest.delivery import EVENT, PART_BYTES, TENANT, TRACK, Delivery, Feeder, delivery
from odeon_loadtest.metrics import MetricsPage
from odeon_loadtest.report import Bar, Report, percentile
from odeon_loadtest.viewers import PARTS_PER_SEGMENT, Plan

VIEWERS = 300
_MAX_ADDED_MS = 5.0
_ONCE = Bar("==", 1)
_NONE = Bar("==", 0)


@dataclass(frozen=True, slots=True)
class Size:
    """Segments per window, and how many windows of each kind."""

    segments: int
    rounds: int


FULL = Size(segments=6, rounds=3)
QUICK = Size(segments=2, rounds=1)


@dataclass(frozen=True, slots=True)
class Window:
    """What one window of viewers saw.

    Attributes:
        delays_ms: after the part was offered, of every answer that came.
        missing: answers that should have come and did not, whatever became of them.
        failed: refused and broken requests by status.
        states: parts in the window, and so playlist states.
        body_bytes: received.
    """

    delays_ms: list[float]
    missing: int
    failed: dict[str, int]
    states: int
    body_bytes: int


@dataclass(frozen=True, slots=True)
class Crowd:
    """Viewers and where they ask."""

    port: int
    prefixes: list[str]
    fetch_parts: bool


@dataclass(slots=True)
class Asked:
    """What the edge asked the origin for, and how much there was to ask for."""

    playlists: float = 0.0
    parts: float = 0.0
    playlist_states: int = 0
    part_states: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that a window needs."""

    folder: Path
    delivery: Delivery
    origin_metrics: MetricsPage
    census: Census
    tokens: list[str]
    size: Size


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    size = QUICK if quick else FULL
    report = Report("audience", quick=quick)
    issuer = Issuer()
    tokens = [_token(issuer, number) for number in range(VIEWERS)]
    with tempfile.TemporaryDirectory(prefix="odeon-audience-") as name:
        folder = Path(name)
        async with delivery(folder, issuer) as running, httpx.AsyncClient() as http:
            metrics = MetricsPage(http, running.origin_metrics)
            census = Census(running.analytics, issuer.api_token(tenant=TENANT), f"events/{EVENT}")
            run = Run(folder, running, metrics, census, tokens, size)
            await _measure(report, run)
    report.notes.append(f"{VIEWERS} viewers, {PART_BYTES // 1024} KB parts, plain HTTP/1.1")
    return report


def _token(issuer: Issuer, number: int) -> str:
    return issuer.token(
        Audience.PLAYBACK,
        tenant=TENANT,
        event=EVENT,
        session_id=f"v{number}",
        role="viewer",
        permissions=("beacons.send",),
    )


async def _measure(report: Report, run: Run) -> None:
    asked, heads, sent = Asked(), [], 0
    for fetch_parts in (False, True):
        windows: dict[str, list[Window]] = {"origin": [], "edge": []}
        for _ in range(run.size.rounds):
            direct = Crowd(run.delivery.origin, [_path()] * VIEWERS, fetch_parts)
            windows["origin"].append(await _window(run, direct))
            through = [f"/t/{token}{_path()}" for token in run.tokens]
            crowd = Crowd(run.delivery.edge, through, fetch_parts)
            windows["edge"].append(await _counted_window(run, crowd, asked))
            heads.append(await run.census.concurrent())
            sent += windows["edge"][-1].body_bytes
        _judge_delays(report, "part" if fetch_parts else "playlist", windows)
    report.add(
        "origin_fetches_per_playlist",
        _share(asked.playlists, asked.playlist_states),
        "ratio",
        _ONCE,
    )
    report.add("origin_fetches_per_part", _share(asked.parts, asked.part_states), "ratio", _ONCE)
    await run.census.judge(report, run.tokens, heads, sent)


def _path() -> str:
    return f"/{TENANT}/{EVENT}"


def _share(count: float, of: int) -> float:
    return count / of if of else math.nan


async def _counted_window(run: Run, crowd: Crowd, asked: Asked) -> Window:
    """A window through the edge, with the origin's own count of what it was asked for."""
    before = [await _origin_requests(run.origin_metrics, kind) for kind in ("playlist", "part")]
    window = await _window(run, crowd)
    after = [await _origin_requests(run.origin_metrics, kind) for kind in ("playlist", "part")]
    asked.playlists += after[0] - before[0]
    asked.parts += after[1] - before[1]
    asked.playlist_states += window.states
    asked.part_states += window.states * crowd.fetch_parts
    return window


async def _origin_requests(metrics: MetricsPage, kind: str) -> float:
    count = await metrics.value(f'odeon_recorder_origin_requests_total{{kind="{kind}"}}')
    return 0.0 if math.isnan(count) else count  # Nobody has asked for this kind yet.


async def _window(run: Run, crowd: Crowd) -> Window:
    feeder, segments = run.delivery.feeder, run.size.segments
    first = feeder.next_msn + 1
    plan = Plan(
        host="127.0.0.1",
        port=crowd.port,
        prefixes=crowd.prefixes,
        track=TRACK,
        first_msn=first,
        last_msn=first + segments - 1,
        fetch_parts=crowd.fetch_parts,
    )
    file = run.folder / "plan.json"
    file.write_text(json.dumps(asdict(plan)))
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "odeon_loadtest.viewers", str(file)], stdout=asyncio.subprocess.PIPE
    )
    seen = json.loads((await process.communicate())[0])
    return window_of(seen, plan, feeder)


def window_of(seen: dict[str, Any], plan: Plan, feeder: Feeder) -> Window:
    """What the viewers of a plan told, against what they should have got."""
    states = (plan.last_msn - plan.first_msn + 1) * PARTS_PER_SEGMENT
    kinds = ["playlist", "part"] if plan.fetch_parts else ["playlist"]
    came = sum(len(arrivals) for kind in kinds for arrivals in seen[kind].values())
    delays = [
        (arrival - feeder.offered[name]) * 1000
        for name, arrivals in seen[kinds[-1]].items()
        for arrival in arrivals
    ]
    return Window(
        delays_ms=delays,
        missing=len(plan.prefixes) * states * len(kinds) - came,
        failed=seen["failed"],
        states=states,
        body_bytes=seen["body_bytes"],
    )


def _judge_delays(report: Report, what: str, windows: dict[str, list[Window]]) -> None:
    """Delays until a viewer has the playlist alone, or the playlist and then the part."""
    p99: dict[str, float] = {}
    for name, found in windows.items():
        delays = [ms for window in found for ms in window.delays_ms]
        p99[name] = percentile(delays, 0.99)
        report.add(f"{name}_{what}_delay_p50", percentile(delays, 0.5), "ms")
        report.add(f"{name}_{what}_delay_p99", p99[name], "ms")
        missing = sum(window.missing for window in found)
        report.add(f"{name}_{what}_answers_missing", missing, "count", _NONE)
    added = p99["edge"] - p99["origin"]
    report.add(f"edge_{what}_added_p99", added, "ms", Bar("<=", _MAX_ADDED_MS))
    failed = [window.failed for found in windows.values() for window in found if window.failed]
    if failed:
        report.notes.append(f"failed {what} requests by status: {failed}")
