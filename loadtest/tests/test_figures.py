"""Whoever reads figures by name finds them: names are listed in one document, and kept there.

Scripts and records compare figures by name over months. The names in the code are read without
running it, because most scenarios take a browser and minutes; a name that is put together, such as
f"{name}_cpu", stands for all that fit.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from odeon_loadtest.main import app

from .documents import PACKAGE, chapter, chapters

SCENARIOS = sorted(path.stem for path in (PACKAGE / "scenarios").glob("[!_]*.py"))


def patterns(file: Path) -> Iterator[str]:
    """Of the names that a module gives to figures: first arguments of `report.add`."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(
                func=ast.Attribute(value=ast.Name("report"), attr="add"),
                args=[ast.Constant(str(name)), *_],
            ):
                yield re.escape(name)
            case ast.Call(
                func=ast.Attribute(value=ast.Name("report"), attr="add"),
                args=[ast.JoinedStr(pieces), *_],
            ):
                yield "".join(
                    re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else "[a-z0-9_]+"
                    for piece in pieces
                )


HELPERS = [pattern for file in sorted(PACKAGE.glob("*.py")) for pattern in patterns(file)]


def test_every_scenario_is_a_command_and_has_its_chapter() -> None:
    commands = sorted(command.callback.__name__ for command in app.registered_commands)  # type: ignore[union-attr]

    assert commands == SCENARIOS
    assert set(SCENARIOS) <= set(chapters())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_document_has_each_name_that_a_scenario_uses(scenario: str) -> None:
    names = chapter(scenario)
    used = list(patterns(PACKAGE / "scenarios" / f"{scenario}.py"))

    assert used
    unknown = [p for p in used if not any(re.fullmatch(p, name) for name in names)]
    assert unknown == []


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_document_has_no_name_that_nobody_uses(scenario: str) -> None:
    used = [*patterns(PACKAGE / "scenarios" / f"{scenario}.py"), *HELPERS]

    stale = [n for n in chapter(scenario) if not any(re.fullmatch(p, n) for p in used)]
    assert stale == []


def test_figures_of_helpers_are_in_some_chapter() -> None:
    names = [name for figures in chapters().values() for name in figures]

    assert [p for p in HELPERS if not any(re.fullmatch(p, name) for name in names)] == []
