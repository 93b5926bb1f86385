"""What people see while a deployment starts and runs: one row per process, then the addresses."""

import shutil
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from odeon_cli.console import console
from odeon_cli.state import Running
from odeon_cli.up.child import Child, State

_STYLES = {
    State.WAITING: ("·", "dim"),
    State.STARTING: ("…", "yellow"),
    State.READY: ("✔", "green"),
    State.RESTARTING: ("↻", "yellow"),
    State.STOPPING: ("…", "yellow"),
    State.STOPPED: ("■", "dim"),
    State.FAILED: ("✘", "bold red"),
}


class Show(Protocol):
    """Where the supervisor tells what happens."""

    def child(self, child: Child) -> None:
        """A child changed its state."""
        ...

    def step(self, text: str) -> None:
        """What is being done now."""
        ...

    def close(self) -> None:
        """Nothing more follows."""
        ...


class LogShow:
    """One line per change, for logs and for --json (on standard error)."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def child(self, child: Child) -> None:
        """A child changed its state."""
        detail = f" (start {child.starts})" if child.starts > 1 else ""
        self.step(f"{child.name}: {child.state.value}{detail}")

    def step(self, text: str) -> None:
        """What is being done now."""
        elapsed = time.monotonic() - self._began
        console().print(f"[{elapsed:6.2f} s] {text}", markup=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing to close."""


class LiveShow:
    """A table that changes in place, for terminals."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._children: dict[str, tuple[Child, float]] = {}
        self._step = "starting"
        # Refreshed by every change only: a refreshing thread would fork with us.
        self._live = Live(console=console(), auto_refresh=False, transient=True)
        self._live.start()

    def child(self, child: Child) -> None:
        """A child changed its state."""
        self._children[child.name] = (child, time.monotonic() - self._began)
        self._refresh()

    def step(self, text: str) -> None:
        """What is being done now."""
        self._step = text
        self._refresh()

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()

    def _refresh(self) -> None:
        if self._live.is_started:
            self._live.update(self._render(), refresh=True)

    def _render(self) -> RenderableType:
        table = Table(box=None, show_header=False, padding=(0, 1))
        for child, at in self._children.values():
            sign, style = _STYLES[child.state]
            pid = str(child.pid or "")
            table.add_row(
                Text(sign, style), child.name, Text(child.state.value, style), pid, f"{at:.1f} s"
            )
        return Group(table, Spinner("dots", Text(self._step)))


class RunningShow:
    """After the start: only what deserves attention is told."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def child(self, child: Child) -> None:
        """Tell deaths and returns."""
        name = child.name
        if child.state is State.RESTARTING:
            self._told.add(name)
            reason = _why(child.last_exit)
            self.step(f"{name} died ({reason}) and is started again; its log: {child.log_file}")
        elif child.state is State.READY and name in self._told:
            self.step(f"{name} is back (pid {child.pid})")
        elif child.state is State.STOPPING:
            self.step(f"stopping {name}")

    def step(self, text: str) -> None:
        """One line."""
        console().print(text, markup=False, style="dim", soft_wrap=True)

    def close(self) -> None:
        """Nothing to close."""


def _why(code: int | None) -> str:
    if code is None:
        return "never ran"
    return f"signal {-code}" if code < 0 else f"exit code {code}"


_START_HERE = "start here"
_SHORTENED = "a link to click"
"""Its text leaves the token out."""


def links_file(running: Running) -> Path:
    """Where the links stand in full, to copy from."""
    return Path(running.data_dir) / "links.txt"


def show_running(running: Running, seconds: float) -> None:
    """The addresses, and what to do with them."""
    out = Console(highlight=False)
    table = _rows()
    table.add_row("open", _link(running.gateway), _START_HERE if running.event else "")
    if running.event:
        table.add_row("audience", _link(running.watch_url), _SHORTENED)
        table.add_row("host", _link(running.studio_url), _SHORTENED)
        table.add_row("playlist", _link(running.playlist_url), "through edge 1")
    for index, edge in enumerate(running.edges, 1):
        table.add_row(f"edge {index}", edge)
    table.add_row("gRPC", running.grpc)
    table.add_row("API key", running.api_key)
    table.add_row("data, logs", running.data_dir)
    if running.event:
        table.add_row("to copy", str(links_file(running)), "all of it in full")
    if running.ca_file:
        table.add_row("authority", running.ca_file, "trust it once in your browser")
    out.print(Panel(table, title=f"Odeon runs (ready in {seconds:.1f} s)", title_align="left"))
    if running.event:
        out.print(Panel(_next_steps(running), title="Next steps", title_align="left"))
    out.print("[dim]Ctrl-C stops everything.[/]")


def links_text(running: Running) -> str:
    """Every link and token of the demo event, a paragraph each, to copy from."""
    names = ("watch_url", "studio_url", "guest_url", "playlist_url", "whep_url", "whip_url")
    pairs = [(name, getattr(running, name)) for name in (*names, "whip_token")]
    return "\n".join(f"{name.replace('_', ' ')}:\n{value}\n" for name, value in pairs)


def _next_steps(running: Running) -> Table:
    odeon = command_name()
    token = f"{odeon} token publish {running.event}"
    steps = _rows()
    steps.add_row("browser", "open the host's page, allow the camera, go live")
    steps.add_row("OBS", f"Settings, Stream, WHIP; server {running.whip_url}")
    steps.add_row("", f"bearer token: `{token}` prints one")
    steps.add_row(
        "FFmpeg 8",
        "ffmpeg -re -i FILE -c:v libx264 -tune zerolatency -pix_fmt yuv420p -bf 0 -g 60 "
        "-c:a libopus -ar 48000 -ac 2 -f whip "
        f'-authorization "$({token})" {running.whip_url}',
    )
    steps.add_row("a file", f"{odeon} publish FILE")
    steps.add_row("measure", f"{odeon} watch, {odeon} watch --whep")
    return steps


def command_name() -> str:
    """How to call this program from where the user is."""
    if shutil.which("odeon"):
        return "odeon"
    program = Path(sys.executable).with_name("odeon")
    with suppress(ValueError):
        return str(program.relative_to(Path.cwd()))
    return str(program)


def _rows() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(style="dim")
    return table


def _link(url: str) -> Text:
    """A link whose label leaves the tokens out; terminals open the whole of it."""
    parts = urlsplit(url)
    path = parts.path
    if path.startswith("/t/"):
        path = "/t/…/" + path[3:].partition("/")[2]
    label = f"{parts.scheme}://{parts.netloc}{path}" + ("#…" if parts.fragment else "")
    return Text(label, style=f"link {url}")
