"""Pictures of a simulation: load and capacity, pods and what they cost, who had to wait."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odeon_cli.console import CliError
from odeon_cli.scaling.measure import Result, Sample

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = {
    "odeon": ("#0b6e4f", "solid", 1.6),
    "hpa": ("#c8553d", "solid", 1.2),
    "keda": ("#3d6fc8", "dashed", 1.0),
}
_FORMATS = (".png", ".svg")


def check(path: Path) -> None:
    """Say before a long simulation that no picture could be drawn after it.

    Raises:
        CliError: the format is not known, or matplotlib is not installed.
    """
    if path.suffix not in _FORMATS:
        raise CliError(f"{path} is neither .png nor .svg", hint="name the picture plot.svg")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError:
        raise CliError(
            "pictures need matplotlib", hint='install it: pip install "odeon[plot]"'
        ) from None


def draw(results: list[Result], path: Path, *, title: str) -> None:
    """Draw results over one trace.

    Raises:
        CliError: the file cannot be written.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    capacity, cost, waiting = figure.subplots(3, 1, sharex=True, height_ratios=(3, 1.4, 1.2))
    _capacity(capacity, results)
    _cost(cost, results)
    _waiting(waiting, results)
    figure.suptitle(title)
    try:
        # Fixed ids and no date: the same simulation makes the same file.
        with rc_context({"svg.hashsalt": "odeon"}):
            figure.savefig(
                path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None
            )
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}", hint="name another file") from None


def _capacity(axes: "Axes", results: list[Result]) -> None:
    hours, load = _steps(results[0], lambda s: s.load)
    axes.fill_between(hours, load, color="#d9d9d9", label="load", step="post")
    for result in results:
        axes.step(*_steps(result, lambda s: s.capacity), where="post", **_style(result))
    axes.set_ylabel("units ready")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, frameon=False)


def _cost(axes: "Axes", results: list[Result]) -> None:
    for result in results:
        axes.step(*_steps(result, lambda s: s.pods), where="post", **_style(result))
    total = ", ".join(f"{r.scaler} {r.pod_hours:.0f}" for r in results)
    axes.set_ylabel("pods")
    axes.set_title(f"pod hours: {total}", fontsize="small", loc="left")


def _waiting(axes: "Axes", results: list[Result]) -> None:
    for result in results:
        axes.step(*_steps(result, lambda s: s.waiting), where="post", **_style(result))
    killed = ", ".join(f"{r.scaler} {r.killed}" for r in results)
    axes.set_ylabel("units waiting")
    axes.set_xlabel("hours")
    axes.set_title(f"sessions killed: {killed}", fontsize="small", loc="left")


def _steps(result: Result, value: Callable[[Sample], int]) -> tuple[list[float], list[int]]:
    """Hours and values where the value changes; a day of samples would make a large picture."""
    samples = result.samples
    kept = [
        after
        for before, after in pairwise((None, *samples))
        if after is not None and (before is None or value(before) != value(after))
    ]
    kept.append(samples[-1])
    return [s.second / 3600 for s in kept], [value(s) for s in kept]


def _style(result: Result) -> dict[str, Any]:
    colour, line, width = _LINES[result.scaler]
    return {"color": colour, "ls": line, "lw": width, "label": result.scaler}
