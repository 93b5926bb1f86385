"""`odeon loadtest …`: each scenario judges its own bars and exits 1 when one is missed."""

import asyncio
from collections.abc import Callable, Coroutine
from importlib import import_module
from typing import Annotated

import typer
from odeon_cli.console import CliError, show_error
from rich.console import Console

from odeon_loadtest.report import Report

app = typer.Typer(no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="One line of JSON instead of a table.")]
Quick = Annotated[
    bool, typer.Option("--quick", help="Under 45 s: shorter windows, the same limits.")
]


def _run(scenario: str, *, quick: bool, as_json: bool) -> None:
    module = import_module(f"odeon_loadtest.scenarios.{scenario}")
    measure: Callable[..., Coroutine[None, None, Report]] = module.measure
    errors = Console(stderr=True)
    try:
        with errors.status(f"Measuring {scenario} …"):
            report = asyncio.run(measure(quick=quick))
    except CliError as missing:
        show_error(missing)
        raise typer.Exit(2) from missing
    if as_json:
        print(report.to_json())
    else:
        report.print(Console())
    if not report.ok:
        raise typer.Exit(1)


@app.callback()
def scenarios() -> None:
    """Measure Odeon against its bars and its peers, on this machine."""


@app.command()
def edge(quick: Quick = False, as_json: Json = False) -> None:
    """CPU per request of the edge beside HAProxy + Varnish and nginx."""
    _run("edge", quick=quick, as_json=as_json)


@app.command()
def audience(quick: Quick = False, as_json: Json = False) -> None:
    """300 blocking viewers through one edge, and on the origin directly."""
    _run("audience", quick=quick, as_json=as_json)


@app.command()
def latency(quick: Quick = False, as_json: Json = False) -> None:
    """Glass to glass in Chromium by LL-HLS and WHEP, lip sync, click to first picture."""
    _run("latency", quick=quick, as_json=as_json)


@app.command()
def recovery(quick: Quick = False, as_json: Json = False) -> None:
    """What viewers notice when an encoder, the recorder or NATS goes away."""
    _run("recovery", quick=quick, as_json=as_json)


@app.command()
def recording(quick: Quick = False, as_json: Json = False) -> None:
    """Frames missing or repeated in the recording of a clean run, and its lip sync."""
    _run("recording", quick=quick, as_json=as_json)


@app.command()
def overload(quick: Quick = False, as_json: Json = False) -> None:
    """What viewers notice when the encoder gets 30 % of a core."""
    _run("overload", quick=quick, as_json=as_json)


@app.command()
def impairment(quick: Quick = False, as_json: Json = False) -> None:
    """What a WebRTC viewer sees when its path falls to 600 kb/s, and after."""
    _run("impairment", quick=quick, as_json=as_json)


@app.command()
def scaling(quick: Quick = False, as_json: Json = False) -> None:
    """How soon, how much and to whom: the operator on a real API server, with 2,000 pods."""
    _run("scaling", quick=quick, as_json=as_json)
