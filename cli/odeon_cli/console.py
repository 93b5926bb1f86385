"""What people and scripts read: tables and progress on a terminal, JSON lines on request."""

import json
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console


class CliError(Exception):
    """A failure to tell a person: what is wrong, and what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@cache
def console() -> "Console":
    """The terminal; standard error, so that standard output stays for what scripts read."""
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def show_error(error: CliError, *, as_json: bool = False) -> None:
    """Print a failure and the way out of it."""
    if as_json:
        emit({"error": error.message, "hint": error.hint})
        return
    console().print(f"[bold red]error:[/] {_escaped(error.message)}")
    if error.hint:
        console().print(f"[dim]what to do:[/] {_escaped(error.hint)}")


def emit(record: Mapping[str, Any]) -> None:
    """One JSON line on standard output."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def show_lines(lines: Sequence[str]) -> None:
    """Plain lines for people, on standard output."""
    sys.stdout.write("\n".join(lines) + "\n\n")
    sys.stdout.flush()


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people, on standard output."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title or None, title_justify="left", box=None, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_escaped(cell) for cell in row))
    Console(highlight=False).print(table)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
