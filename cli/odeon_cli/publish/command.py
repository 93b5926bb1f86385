"""What `odeon publish` does with its options."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.status import Status

from odeon_cli.console import CliError, console, emit
from odeon_cli.publish.publisher import Publisher, Report, Source
from odeon_cli.publish.whip import WebRtcHttp, local_address
from odeon_cli.signals import Signals
from odeon_cli.state import find_running
from odeon_cli.target import Target
from odeon_cli.token import publish_token

_SIZE = re.compile(r"(\d{2,4})x(\d{2,4})")


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions:
    """The command's options; see `odeon publish --help`."""

    file: Path | None
    test_card: bool
    url: str
    token: str
    ca_file: str
    data_dir: Path | None
    size: str
    frame_rate: int
    bitrate: int
    skew_ms: float
    title: str
    duration_s: float | None
    every_s: float
    as_json: bool


async def publish(options: PublishOptions) -> None:
    """Publish until the duration is over or a signal comes."""
    source = _source(options)
    url, token, ca_file = await _target(options)
    bind_host = local_address(url)
    if not options.as_json:
        console().print(f"publishing {source.description}", markup=False)
    with Signals() as signals:
        status = console().status("connecting …") if not options.as_json else None
        report = _json_reporter() if status is None else _status_reporter(status)
        async with WebRtcHttp(url, token, ca_file=ca_file) as http:
            publisher = Publisher(
                http,
                source,
                bind_host=bind_host,
                on_report=report,
                interval_s=options.every_s,
            )
            if status is not None:
                status.start()
            try:
                await signals.unless_heard(publisher.run(options.duration_s))
            finally:
                if status is not None:
                    status.stop()
        final = publisher.report()
    if options.as_json:
        emit({"event": "done", **_record(final)})
    else:
        console().print(f"published {_line(final)}", markup=False)


def _source(options: PublishOptions) -> Source:
    if (options.file is None) == (not options.test_card):
        raise CliError("name a file, or say --test-card", hint="odeon publish --help")
    if options.file is not None:
        from odeon_cli.publish.file import FileSource

        return FileSource(options.file, bitrate=options.bitrate)
    from odeon_cli.publish.card import CardOptions, CardSource

    width, height = parse_size(options.size)
    card = CardOptions(
        width=width,
        height=height,
        frame_rate=options.frame_rate,
        bitrate=options.bitrate,
        skew_ms=options.skew_ms,
        title=options.title,
    )
    return CardSource(card)


def parse_size(text: str) -> tuple[int, int]:
    """Width and height of e.g. "1280x720".

    Raises:
        CliError: not a size, or one that the test card cannot have.
    """
    match = _SIZE.fullmatch(text)
    width, height = (int(match[1]), int(match[2])) if match else (0, 0)
    if width % 2 or height % 2 or not (160 <= width <= 3840 and 90 <= height <= 2160):
        raise CliError(f"{text!r} is not a size", hint="even numbers, e.g. 1280x720 or 640x360")
    return width, height


async def _target(options: PublishOptions) -> tuple[str, str, str]:
    if options.url:
        if not options.token:
            hint = "`odeon token publish EVENT` makes one; pass it as ODEON_PUBLISH_TOKEN"
            raise CliError("--url needs a publish token", hint=hint)
        return options.url, options.token, options.ca_file
    running = find_running(options.data_dir)
    if not running.event:
        raise CliError(
            "the running deployment has no demo event",
            hint="make one with `odeon events create`, then use --url and --token",
        )
    # A token of its own: two publishers with one token would replace each other for ever.
    target = Target(running.gateway, running.api_key, ca_file=running.ca_file)
    async with target.api() as api:
        token = await publish_token(api, running.event, name=options.title)
    return running.whip_url, token, running.ca_file


def _status_reporter(status: Status) -> Callable[[Report], None]:
    def report(now: Report) -> None:
        status.update(_line(now))

    return report


def _json_reporter() -> Callable[[Report], None]:
    ready = False

    def report(now: Report) -> None:
        nonlocal ready
        if now.connected and not ready:
            ready = True
            emit({"event": "ready", "service": "publisher"})
        emit({"event": "stats", **_record(now)})

    return report


def _line(report: Report) -> str:
    clock = f"{int(report.seconds) // 60:d}:{int(report.seconds) % 60:02d}"
    state = "live" if report.connected else "not connected"
    parts = [
        clock,
        state,
        f"{report.sent.video_frames} frames",
        f"{report.frame_rate:.1f} fps",
        f"{report.bitrate_bps / 1000:.0f} kb/s",
    ]
    if report.rtt_ms is not None:
        parts.append(f"round trip {report.rtt_ms:.0f} ms")
    if report.sent.skipped:
        parts.append(f"{report.sent.skipped} skipped (this machine is too slow)")
    if report.reconnects:
        parts.append(f"{report.reconnects} reconnects")
    return " · ".join(parts)


def _record(report: Report) -> dict[str, object]:
    sent = report.sent
    return {
        "seconds": round(report.seconds, 3),
        "connected": report.connected,
        "video_frames": sent.video_frames,
        "keyframes": sent.keyframes,
        "audio_frames": sent.audio_frames,
        "bytes": sent.video_bytes + sent.audio_bytes,
        "dropped": sent.dropped,
        "skipped": sent.skipped,
        "bitrate_bps": round(report.bitrate_bps),
        "frame_rate": round(report.frame_rate, 2),
        "reconnects": report.reconnects,
        "keyframe_requests": report.keyframe_requests,
        "rtt_ms": report.rtt_ms if report.rtt_ms is None or math.isfinite(report.rtt_ms) else None,
    }
