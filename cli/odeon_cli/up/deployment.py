"""The life of one deployment: plan, start, demo, announce, wait, stop in reverse."""

import asyncio
import json
import os
import secrets
import shutil
import string
import sys
import tempfile
import time
import webbrowser
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from odeon_cli.api import Api
from odeon_cli.console import CliError, console, emit
from odeon_cli.signals import Signals
from odeon_cli.state import Running, announce, home, running_in, withdraw, write_private
from odeon_cli.up import demo as demos
from odeon_cli.up import plan
from odeon_cli.up.child import Child, ProcessSpec
from odeon_cli.up.ports import block_of_ports
from odeon_cli.up.show import (
    LiveShow,
    LogShow,
    RunningShow,
    Show,
    links_file,
    links_text,
    show_running,
)
from odeon_cli.up.supervisor import Supervisor

_SECRETS_FILE = "secrets.json"
_TENANT = "default"
_DEMO_TITLE = "Odeon test card"
_FIRST_PICTURE_TIMEOUT_S = 60.0
_END_DEMO_TIMEOUT_S = 5.0
_LOWER_ALNUM = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The command's options; see `odeon up --help`."""

    data_dir: Path | None = None
    host: str = "127.0.0.1"
    port_base: int | None = None
    edges: int = 1
    transcoders: int = 1
    tls: bool = False
    demo: bool = True
    demo_size: str = ""
    demo_frame_rate: int = 30
    as_json: bool = False
    open_page: bool = True
    log_level: str = "info"


async def run_deployment(options: UpOptions) -> None:
    """Bring a deployment up and keep it until a signal; nothing of it is left afterwards."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        signals = stack.enter_context(Signals())
        data_dir = _data_dir(options, stack, signals)
        layout = _layout(options, data_dir)
        if plan.hides_cameras(layout):
            console().print(
                f"note: on {layout.gateway_url} browsers give no page a camera; "
                "add --tls, or leave out --host",
                style="yellow",
                markup=False,  # An IPv6 address looks like markup.
                soft_wrap=True,
            )
        deployment = _Deployment(options, layout)
        await stack.enter_async_context(deployment.supervisor)
        signals.on_second(deployment.supervisor.kill_all)
        running = await signals.unless_heard(deployment.start())
        if running is None:
            return
        announce(running)
        stack.callback(withdraw, data_dir)
        signals.on_second(partial(withdraw, data_dir))
        _report(options, running, time.monotonic() - began)
        await signals.heard.wait()
        await deployment.end_demo()


class _Deployment:
    """Starts the children of a layout and the demo on top of them."""

    def __init__(self, options: UpOptions, layout: plan.Layout) -> None:
        self._options = options
        self._layout = layout
        self._show: Show = LogShow() if _is_plain(options) else LiveShow()
        self._demo: demos.Demo | None = None
        self.supervisor = Supervisor(layout.data_dir / "logs", self._changed)

    async def start(self) -> Running:
        """Everything up to the first playable part; raises CliError with the way out."""
        try:
            await self._start_all()
        finally:
            self._show.close()
            self._show = RunningShow()
        return self._running()

    async def end_demo(self) -> None:
        """Close the demo's recording, if the services still answer."""
        if self._demo is None:
            return
        with suppress(CliError, TimeoutError):
            async with asyncio.timeout(_END_DEMO_TIMEOUT_S), self._api() as api:
                await demos.end_event(api, self._demo.event)

    async def _start_all(self) -> None:
        self._show.step("starting the processes")
        first = plan.first_wave(self._layout)
        self._start(first)
        await self.supervisor.wait_ready([spec.name for spec in first])
        second = plan.second_wave(self._layout)
        self._start(second)
        if self._options.demo:
            await self._start_demo()
        await self.supervisor.wait_ready([spec.name for spec in second])

    async def _start_demo(self) -> None:
        self._show.step("creating the demo event")
        async with self._api() as api:
            self._demo = await demos.create_demo(api, _DEMO_TITLE)
        write_private(self._layout.demo_file, json.dumps(self._demo.note(_DEMO_TITLE)))
        self._start([_publisher(self._options, self._layout, self._demo)])
        self._show.step("waiting for the first picture")
        await demos.wait_playable(
            self._demo.links.playlist_url,
            ca_file=self._ca_file,
            timeout_s=_FIRST_PICTURE_TIMEOUT_S,
        )

    def _start(self, specs: list[ProcessSpec]) -> None:
        for spec in specs:
            self.supervisor.start(spec)

    def _changed(self, child: Child) -> None:
        self._show.child(child)

    def _api(self) -> Api:
        return Api(self._layout.gateway_url, self._layout.api_key, ca_file=self._ca_file)

    @property
    def _ca_file(self) -> str:
        return str(self._layout.tls.authority) if self._layout.tls else ""

    def _running(self) -> Running:
        layout, demo = self._layout, self._demo
        links = demo.links if demo else None
        return Running(
            gateway=layout.gateway_url,
            edge=layout.edge_urls[0],
            edges=layout.edge_urls,
            grpc=layout.grpc_address,
            api_key=layout.api_key,
            tenant=_TENANT,
            pid=os.getpid(),
            data_dir=str(layout.data_dir),
            ca_file=self._ca_file,
            nats=layout.nats_url,
            media=f"{layout.host}:{layout.ports['media']}",
            event=demo.event if demo else "",
            watch_url=links.watch_url if links else "",
            studio_url=links.studio_url if links else "",
            guest_url=links.guest_url if links else "",
            whip_url=links.whip_url if links else "",
            whip_token=links.whip_token if links else "",
            whep_url=links.whep_url if links else "",
            playlist_url=links.playlist_url if links else "",
        )


def _publisher(options: UpOptions, layout: plan.Layout, demo: demos.Demo) -> ProcessSpec:
    argv = [sys.executable, "-m", "odeon_cli", "publish", "--test-card", "--json", "--every", "30"]
    argv += ["--size", options.demo_size or _fitting_size(len(os.sched_getaffinity(0)))]
    argv += ["--frame-rate", str(options.demo_frame_rate)]
    env = {
        # In the environment, not among the arguments, which every user of the machine can list.
        "ODEON_PUBLISH_URL": demo.links.whip_url,
        "ODEON_PUBLISH_TOKEN": demo.card_token,
        "ODEON_CA_FILE": str(layout.tls.authority) if layout.tls else "",
    }
    return ProcessSpec(name="publisher", argv=tuple(argv), env=env, tether=True, grace_s=3.0)


def _fitting_size(cores: int) -> str:
    """A ladder below 720p30 takes about one core; a browser that watches wants another two."""
    return "1280x720" if cores >= 4 else "640x360"


def _data_dir(options: UpOptions, stack: AsyncExitStack, signals: Signals) -> Path:
    if options.data_dir is None:
        path = Path(tempfile.mkdtemp(prefix="odeon-"))
        remove = partial(shutil.rmtree, path, ignore_errors=True)
        stack.callback(remove)
        signals.on_second(remove)
        return path
    path = options.data_dir.absolute()
    other = running_in(path)
    if other is not None:
        hint = "stop it first (Ctrl-C), or use another --data-dir"
        raise CliError(f"another deployment (pid {other.pid}) uses {path}", hint=hint)
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise CliError(f"{path} cannot be used: {error.strerror}") from error
    return path


def _layout(options: UpOptions, data_dir: Path) -> plan.Layout:
    host = plan.check_host(options.host)
    if not 1 <= options.transcoders <= plan.MAX_TRANSCODERS:
        raise CliError(f"--transcoders must be between 1 and {plan.MAX_TRANSCODERS}")
    hosts = plan.edge_hosts(host, options.edges)
    names = plan.port_names(options.edges, options.transcoders)
    base = block_of_ports(options.port_base, len(names), {"127.0.0.1", *hosts})
    tls = None
    if options.tls:
        from odeon_cli.up.tls import make_certificate

        names_of_us = ["localhost", *sorted({"127.0.0.1", *hosts})]
        tls = make_certificate(data_dir / "tls", names_of_us, authority_in=home() / "tls")
    kept = _secrets(data_dir / _SECRETS_FILE)
    return plan.Layout(
        host=host,
        ports={name: base + index for index, name in enumerate(names)},
        data_dir=data_dir,
        edges=options.edges,
        transcoders=options.transcoders,
        service_secret=kept["service_secret"],
        api_key=kept["api_key"],
        tls=tls,
        log_level=options.log_level,
    )


def _secrets(path: Path) -> dict[str, str]:
    """The deployment's secrets; made once, kept with its data."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text("utf-8"))
        return {"service_secret": kept["service_secret"], "api_key": kept["api_key"]}
    key_id = "".join(secrets.choice(_LOWER_ALNUM) for _ in range(10))
    made = {
        "service_secret": secrets.token_urlsafe(32),
        "api_key": f"odk_{key_id}_{secrets.token_hex(24)}",
    }
    write_private(path, json.dumps(made))
    return made


def _is_plain(options: UpOptions) -> bool:
    return options.as_json or not console().is_terminal


def _report(options: UpOptions, running: Running, seconds: float) -> None:
    if options.as_json:
        emit(running.record())
        return
    if running.event:
        write_private(links_file(running), links_text(running))
    show_running(running, seconds)
    if options.open_page and running.watch_url and _has_desktop():
        webbrowser.open(running.watch_url)


def _has_desktop() -> bool:
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return sys.stdout.isatty() and bool(shown or sys.platform == "darwin")
