"""What a clean run leaves behind: every frame once, sound and picture together.

The whole product records its test card, one person in a single layout. The recording is fetched
after the event's end, as a viewer would, and every picture of its best rendition is decoded: the
card's frame counter must go up by one, and each beep must fall on its flash.

A frame that the publisher left out or the network lost is not the recording's fault. The transcoder
counts those, by gaps in the source's RTP times; each explains one missing and one repeated frame.
"""

import asyncio
import math
from dataclasses import dataclass
from itertools import chain

import httpx
from odeon_testkit.product import Product
from odeon_testkit.recording import (
    Frame,
    Rendition,
    beeps,
    fetch,
    flash_onsets,
    frames,
    missing_and_repeated,
    renditions,
)
from odeon_testkit.tenant import SIZE, api_with, publishing, until_playing
from odeon_testkit.testcard import lip_sync_errors
from odeon_testkit.wait import until

from odeon_loadtest.report import Bar, Report, percentile
from odeon_loadtest.transcoder import TranscoderMetrics, product_and_metrics

_FRAME_RATE = 30
_FULL_S, _QUICK_S = 300.0, 18.0
_END_S = 30.0


@dataclass(frozen=True, slots=True)
class Excuses:
    """What the transcoder counted over the whole run."""

    received: float
    absent: float


@dataclass(frozen=True, slots=True)
class Recording:
    """The best rendition of an ended event, decoded."""

    rendition: Rendition
    pictures: tuple[Frame, ...]
    lip_sync_ms: tuple[float, ...]


async def measure(*, quick: bool) -> Report:
    """Run the scenario."""
    report = Report("recording", quick=quick)
    seconds = _QUICK_S if quick else _FULL_S
    async with product_and_metrics("--no-demo") as (product, metrics):
        playlist, excuses = await _record(product, metrics, seconds)
        recording = await _fetched(playlist)
    judge(report, recording, excuses, seconds)
    report.notes.append(
        f"test card {SIZE} at {_FRAME_RATE} fps for {seconds:g} s, single layout, best rendition; "
        "frames that never reached the transcoder (left out by the publisher or lost on the way, "
        f"here {excuses.absent:g}) count neither as missing nor as repeated"
    )
    return report


async def _record(
    product: Product, metrics: TranscoderMetrics, seconds: float
) -> tuple[str, Excuses]:
    """An event from its first segment on for `seconds`, ended while it is still published."""
    async with api_with(product["gateway"], product["api_key"]) as api:
        event, links = await api.live_event()
        async with publishing(links, "--frame-rate", str(_FRAME_RATE)):
            await until_playing(links["playlistUrl"])
            await asyncio.sleep(seconds)
            await api.call("room.v1.RoomService/EndEvent", name=event)
            await _until_ended(links["playlistUrl"])
    await until(metrics.idle, timeout_s=_END_S)
    counted = [await metrics.frames(state) for state in ("received", "absent")]
    return links["playlistUrl"], Excuses(*counted)


async def _until_ended(playlist: str) -> None:
    async with httpx.AsyncClient(timeout=15) as http:
        video, _ = await renditions(http, playlist)

        async def ended() -> bool:
            return "#EXT-X-ENDLIST" in (await http.get(video[0])).text

        await until(ended, timeout_s=_END_S)


async def _fetched(playlist: str) -> Recording:
    async with httpx.AsyncClient(timeout=15) as http:
        video, audio = await renditions(http, playlist)
        rendition, pictures = await fetch(http, video[0])
        _, sound = await fetch(http, audio[0])

    def decode() -> Recording:
        shown = [frames(file) for file in pictures]
        errors = [
            error * 1000
            for seen, heard in zip(shown, sound, strict=True)
            for error in lip_sync_errors(flash_onsets(seen), beeps(heard))
        ]
        return Recording(rendition, tuple(chain(*shown)), tuple(errors))

    return await asyncio.to_thread(decode)


def judge(report: Report, recording: Recording, excuses: Excuses, seconds: float) -> None:
    """Put the figures of a recording into the report."""
    pictures = recording.pictures
    missing, repeated = missing_and_repeated(pictures)
    unexplained = max(0.0, missing - excuses.absent) + max(0.0, repeated - excuses.absent)
    unreadable = sum(picture.card is None for picture in pictures)
    seams = recording.rendition.discontinuities + recording.rendition.gaps
    report.add("vod_frames_missing_or_repeated", unexplained, "count", Bar("==", 0))
    report.add("vod_frames_missing", missing, "count")
    report.add("vod_frames_repeated", repeated, "count")
    report.add("vod_frames_unreadable", unreadable, "count", Bar("==", 0))
    report.add("vod_frames", len(pictures) or math.nan, "count", Bar(">=", seconds * _FRAME_RATE))
    report.add("vod_gaps_and_discontinuities", seams, "count", Bar("==", 0))
    report.add("transcoder_frames_received", excuses.received, "count")
    report.add("transcoder_frames_absent", excuses.absent, "count")
    errors = [abs(error) for error in recording.lip_sync_ms]
    report.add("vod_lip_sync_p95", percentile(errors, 0.95), "ms", Bar("<=", 60))
    report.add("vod_lip_sync_seconds", len(errors), "count", Bar(">=", seconds * 0.9))
