"""The commands of `odeon scaling`."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="How capacity follows load and bookings.", no_args_is_help=True)


@app.callback()
def scaling() -> None:
    """How capacity follows load and bookings."""


@app.command()
def simulate(
    policy: Annotated[
        Path, typer.Option(help="YAML file with a ScalingPolicy, a pool, and LiveEvents if any.")
    ],
    trace: Annotated[
        Path | None, typer.Option(help="CSV file with the columns time and load.")
    ] = None,
    synthetic: Annotated[
        str, typer.Option(help="A made-up load: step, ramp, sine, flash-crowd or bookings.")
    ] = "",
    peak: Annotated[
        int, typer.Option(min=0, help="Most units of a made-up load; 0: half of the pool.")
    ] = 0,
    cold_start: Annotated[
        float, typer.Option(min=0, help="Median seconds until a new pod is ready.")
    ] = 60.0,
    session: Annotated[
        float, typer.Option(min=1, help="Mean length of a session in seconds.")
    ] = 1800.0,
    tick: Annotated[float, typer.Option(min=1, max=60, help="Seconds between decisions.")] = 5.0,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 1,
    plot: Annotated[Path | None, typer.Option(help="Draw it: a .png or .svg file.")] = None,
    decisions: Annotated[
        Path | None, typer.Option(help="Write each decision and its reasons: a .jsonl file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Try a scaling policy on a load, beside models of the HPA and KEDA."""
    from odeon_cli.console import CliError
    from odeon_cli.scaling.command import SimulateOptions
    from odeon_cli.scaling.command import simulate as run
    from odeon_cli.scaling.trace import Synthetic

    if synthetic and synthetic not in list(Synthetic):
        raise CliError(f"no load is called {synthetic}", hint=f"one of {', '.join(Synthetic)}")
    run(
        SimulateOptions(
            policy=policy,
            trace=trace,
            synthetic=Synthetic(synthetic) if synthetic else None,
            peak=peak,
            cold_start_s=cold_start,
            session_s=session,
            tick_s=tick,
            seed=seed,
            plot=plot,
            decisions=decisions,
            as_json=as_json,
        )
    )


@app.command()
def explain(
    pool: Annotated[
        str, typer.Argument(help="Its name; edgepool/NAME where both kinds have one of that name.")
    ],
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Where it is; else that of the context.")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
) -> None:
    """Say why a pool in a cluster has the pods that it has, by its last decisions."""
    from odeon_cli.scaling.explain import ExplainOptions
    from odeon_cli.scaling.explain import explain as run

    run(ExplainOptions(pool, namespace, as_json))
