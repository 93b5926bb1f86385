"""What `odeon watch` does with its options."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.status import Status

from odeon_cli.console import CliError, console, emit
from odeon_cli.publish.whip import WebRtcHttp, local_address
from odeon_cli.signals import Signals
from odeon_cli.state import find_running
from odeon_cli.watch.hls import HlsWatch
from odeon_cli.watch.measure import WatchReport
from odeon_cli.watch.whep import WhepWatch

OnReport = Callable[[WatchReport], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchOptions:
    """The command's options; see `odeon watch --help`."""

    url: str
    whep: bool
    token: str
    rendition: str
    ca_file: str
    data_dir: Path | None
    seconds: float | None
    as_json: bool


async def watch(options: WatchOptions) -> None:
    """Watch until the time is over, the stream ends or a signal comes."""
    url, token, ca_file = _target(options)
    status = None if options.as_json else console().status("connecting …")
    on_report = _emit if status is None else _into(status)
    with Signals() as signals:
        if status is not None:
            status.start()
        try:
            if "/whep/" in urlsplit(url).path:
                report = await _whep(signals, url, token, ca_file, options, on_report)
            else:
                report = await _hls(signals, url, ca_file, options, on_report)
        finally:
            if status is not None:
                status.stop()
    if options.as_json:
        emit({"event": "done", **_record(report)})
    else:
        console().print(line(report), markup=False)
    if not report.played:
        raise CliError(
            "nothing was shown", hint="is somebody publishing? `odeon publish --test-card`"
        )


async def _hls(
    signals: Signals, url: str, ca_file: str, options: WatchOptions, on_report: OnReport
) -> WatchReport:
    viewer = HlsWatch(url, rendition=options.rendition, ca_file=ca_file, on_report=on_report)
    await signals.unless_heard(viewer.run(options.seconds))
    return viewer.report()


async def _whep(
    signals: Signals,
    url: str,
    token: str,
    ca_file: str,
    options: WatchOptions,
    on_report: OnReport,
) -> WatchReport:
    async with WebRtcHttp(url, token, ca_file=ca_file) as http:
        viewer = WhepWatch(http, bind_host=local_address(url), on_report=on_report)
        await signals.unless_heard(viewer.run(options.seconds))
        return viewer.report()


def _target(options: WatchOptions) -> tuple[str, str, str]:
    if options.url:
        return options.url, options.token, options.ca_file
    running = find_running(options.data_dir)
    if not running.playlist_url:
        raise CliError(
            "the running deployment has no demo event",
            hint="name what to watch: a playlist URL, or a WHEP URL with --token",
        )
    if options.whep:
        return running.whep_url, running.playback_token, running.ca_file
    return running.playlist_url, "", running.ca_file


def _emit(report: WatchReport) -> None:
    emit({"event": "stats", **_record(report)})


def _into(status: Status) -> OnReport:
    def show(report: WatchReport) -> None:
        status.update(line(report))

    return show


def line(report: WatchReport) -> str:
    """A report as people read it."""
    parts = [f"{report.protocol} {report.rendition}".strip()]
    if report.latency_ms is not None and report.latency_p95_ms is not None:
        parts.append(f"latency {report.latency_ms:.0f} ms (p95 {report.latency_p95_ms:.0f})")
    else:
        parts.append("latency unknown")
    parts.append(f"{report.bitrate_bps / 1000:.0f} kb/s")
    parts.append(f"{report.stalls} stalls ({report.stalled_s:.1f} s)")
    parts.append(f"{report.gaps} gaps")
    parts.append(f"{report.frames} frames")
    if report.missing or report.repeated:
        parts.append(f"{report.missing} missing, {report.repeated} repeated")
    return " · ".join(parts)


def _record(report: WatchReport) -> dict[str, object]:
    return {
        name: round(value, 3) if isinstance(value, float) else value
        for name, value in asdict(report).items()
    }
