"""`odeon scaling simulate`: a policy, a load, and what becomes of both."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from odeon_operator.api import manifests
from odeon_operator.api.manifests import Scaling
from odeon_operator.domain.decision import Decision, explain
from odeon_runtime.errors import InvalidArgument

from odeon_cli.console import CliError, console, emit, show_table
from odeon_cli.scaling import measure, plot, trace
from odeon_cli.scaling.measure import Result
from odeon_cli.scaling.scalers import Brain, HpaModel, KedaModel, Scaler, primary
from odeon_cli.scaling.trace import Synthetic, Trace, TraceError
from odeon_cli.scaling.world import Conditions

_COLUMNS = (
    ("", "scaler"),
    ("pod hours", "pod_hours"),
    ("peak pods", "peak_pods"),
    ("short, s", "short_s"),
    ("waited, unit s", "waited_s"),
    ("behind, s", "behind_s"),
    ("killed", "killed"),
    ("turns", "turns"),
)


@dataclass(frozen=True, slots=True)
class SimulateOptions:
    """What the command line said."""

    policy: Path
    trace: Path | None
    synthetic: Synthetic | None
    peak: int
    cold_start_s: float
    session_s: float
    tick_s: float
    seed: int
    plot: Path | None
    decisions: Path | None
    as_json: bool


def simulate(options: SimulateOptions) -> None:
    """Run the policy and the models, show how they did."""
    if options.plot is not None:
        plot.check(options.plot)
    scaling = _scaling(options.policy)
    load = _trace(options, scaling)
    bookings = (*scaling.bookings, *load.bookings)
    pool, policy = scaling.pool, scaling.policy
    conditions = Conditions(
        per_pod=max(1, int(pool.targets[0].per_pod)),
        hands_over=pool.hands_over,
        scheduling=pool.scheduling,
        cold_start_s=options.cold_start_s,
        session_s=options.session_s,
        seed=options.seed,
    )
    brain = Brain(pool, policy, load, bookings)
    scalers: list[Scaler] = [brain, HpaModel(pool, policy), KedaModel(pool, policy)]
    results = [
        measure.run(s, load, pool, policy, conditions, bookings, tick_s=options.tick_s)
        for s in scalers
    ]
    if options.decisions is not None:
        _write(options.decisions, "".join(_line(d) for d in brain.decisions))
    if options.plot is not None:
        shape = options.synthetic.value if options.synthetic else str(options.trace)
        plot.draw(results, options.plot, title=f"{policy.name} on {pool.name}: {shape}")
    _show(results, options)


def _scaling(path: Path) -> Scaling:
    try:
        return manifests.read(_read(path))
    except InvalidArgument as error:
        raise CliError(f"{path}: {error.message}", hint="correct that field") from None


def _trace(options: SimulateOptions, scaling: Scaling) -> Trace:
    if (options.trace is None) == (options.synthetic is None):
        known = ", ".join(Synthetic)
        raise CliError("which load?", hint=f"give --trace FILE.csv, or --synthetic {known}")
    if options.trace is not None:
        try:
            return trace.read(_read(options.trace))
        except TraceError as error:
            raise CliError(f"{options.trace}: {error}", hint="correct that line") from None
    assert options.synthetic is not None
    pool = scaling.pool
    peak = options.peak or max(1, int(pool.most * pool.targets[0].per_pod) // 2)
    return trace.synthetic(options.synthetic, peak=peak, metric=primary(pool), seed=options.seed)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is no text"
        raise CliError(f"{path}: {why}", hint="name a file that can be read") from None


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", hint="name another file") from None


def _line(decision: Decision) -> str:
    record = {
        "at": decision.at.isoformat(),
        "wanted": decision.wanted,
        "previous": decision.previous,
        "rule": decision.rule,
        "explain": list(explain(decision)),
    }
    return json.dumps(record, ensure_ascii=False) + "\n"


def _show(results: Sequence[Result], options: SimulateOptions) -> None:
    if options.as_json:
        emit({"results": [r.figures() for r in results]})
        return
    booked = results[0].booked > 0
    heads = [head for head, _ in _COLUMNS] + (["booked on time"] if booked else [])
    rows = [
        [str(r.figures()[key]) for _, key in _COLUMNS]
        + ([f"{r.booked_on_time}/{r.booked}"] if booked else [])
        for r in results
    ]
    show_table("", heads, rows)
    for made in (options.plot, options.decisions):
        if made is not None:
            console().print(f"wrote {made}", markup=False)
