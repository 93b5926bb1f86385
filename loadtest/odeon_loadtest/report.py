"""What a scenario found: figures with their bars, as one JSON line or a table."""

import json
import math
import operator
from dataclasses import dataclass, field
from typing import Literal

from odeon_cli.watch.measure import percentile as percentile
from rich.console import Console
from rich.table import Table

Relation = Literal["<=", ">=", ">", "=="]
_RELATIONS = {"<=": operator.le, ">=": operator.ge, ">": operator.gt, "==": operator.eq}


@dataclass(frozen=True, slots=True)
class Bar:
    """What a figure must reach, in the figure's unit."""

    relation: Relation
    limit: float

    def holds(self, value: float) -> bool:
        """Whether `value` reaches the bar; an unknown one (NaN) never does."""
        return not math.isnan(value) and bool(_RELATIONS[self.relation](value, self.limit))

    def __str__(self) -> str:
        """For people, e.g. "<= 2000"."""
        return f"{self.relation} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number.

    Attributes:
        name: stable snake_case name.
        value: what was measured; NaN when it could not be.
        unit: "ms", "s", "ratio", "count", "us", "percent".
        bar: what it must reach; None for information.
    """

    name: str
    value: float
    unit: str
    bar: Bar | None = None

    @property
    def ok(self) -> bool:
        """Whether the bar is reached; information always is."""
        return self.bar is None or self.bar.holds(self.value)


@dataclass(slots=True)
class Report:
    """A scenario's result."""

    scenario: str
    quick: bool = False
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, value: float, unit: str, bar: Bar | None = None) -> None:
        """Add a figure."""
        self.figures.append(Figure(name, value, unit, bar))

    @property
    def ok(self) -> bool:
        """Whether every bar is reached."""
        return all(figure.ok for figure in self.figures)

    def to_json(self) -> str:
        """One line: {"scenario", "quick", "figures": [{"name", "value", "unit", "bar", "ok"}]}."""
        figures = [
            {
                "name": f.name,
                "value": None if math.isnan(f.value) else round(f.value, 4),
                "unit": f.unit,
                "bar": str(f.bar) if f.bar else None,
                "ok": f.ok,
            }
            for f in self.figures
        ]
        body = {"scenario": self.scenario, "quick": self.quick, "figures": figures}
        return json.dumps({**body, "notes": self.notes})

    def print(self, console: Console) -> None:
        """A table for people."""
        title = f"{self.scenario}{' (quick)' if self.quick else ''}"
        table = Table("figure", "measured", "must reach", "", title=title, title_justify="left")
        for figure in self.figures:
            mark = "[green]✓[/]" if figure.ok else "[red]✗ missed[/]"
            shown = "unknown" if math.isnan(figure.value) else f"{figure.value:,.4g} {figure.unit}"
            table.add_row(
                figure.name,
                shown,
                str(figure.bar) if figure.bar else "-",
                mark if figure.bar else "",
            )
        console.print(table)
        for note in self.notes:
            console.print(f"  {note}")
