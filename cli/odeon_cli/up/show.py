"""What people see while a deployment starts and runs: one row per process, then the addresses."""

import time
from typing import Protocol

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


def show_running(running: Running, seconds: float) -> None:
    """The addresses, and what to do with them."""
    out = Console(highlight=False)
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("gateway", running.gateway)
    table.add_row("gRPC", running.grpc)
    for index, edge in enumerate(running.edges, 1):
        table.add_row(f"edge {index}", edge)
    table.add_row("API key", running.api_key)
    table.add_row("data, logs", running.data_dir)
    if running.ca_file:
        table.add_row("authority", f"{running.ca_file} (trust it once in your browser)")
    if running.event:
        table.add_row("", "")
        table.add_row("watch", _link(running.watch_url))
        table.add_row("studio", _link(running.studio_url))
        table.add_row("playlist", _link(running.playlist_url))
    out.print(Panel(table, title=f"Odeon runs (ready in {seconds:.1f} s)", title_align="left"))
    if running.event:
        _show_next_steps(out, running)
    out.print("[dim]Ctrl-C stops everything.[/]")


def _show_next_steps(out: Console, running: Running) -> None:
    steps = Table(box=None, show_header=False, padding=(0, 1))
    steps.add_column(style="bold", no_wrap=True)
    steps.add_column(overflow="fold")
    steps.add_row("browser", "open the studio link, allow the camera, go live")
    steps.add_row("OBS", f"Settings > Stream > WHIP, server {running.whip_url}")
    steps.add_row("", f"bearer token {running.whip_token}")
    steps.add_row(
        "FFmpeg 8",
        "ffmpeg -re -i FILE -c:v libx264 -bf 0 -g 60 -tune zerolatency -c:a libopus "
        f"-f whip -authorization {running.whip_token} {running.whip_url}",
    )
    steps.add_row(
        "here", "odeon publish FILE · odeon watch · odeon events list · odeon token --help"
    )
    out.print(Panel(steps, title="Next steps", title_align="left"))


def _link(url: str) -> Text:
    return Text(url, style=f"link {url}")
