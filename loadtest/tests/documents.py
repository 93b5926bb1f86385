"""The document that lists the figures of every scenario, read by tests."""

import re
from pathlib import Path

import odeon_loadtest

PACKAGE = Path(odeon_loadtest.__file__).parent
_DOCUMENT = PACKAGE.parents[1] / "docs" / "operations" / "loadtest.md"
_NAME = re.compile(r"`([a-z0-9_]+)`")


def chapters() -> dict[str, dict[str, str]]:
    """By scenario: names of figures, and the bar of each as a report tells it, "" for none."""
    found: dict[str, dict[str, str]] = {}
    for line in _DOCUMENT.read_text().splitlines():
        if line.startswith("## "):
            names = found.setdefault(line.removeprefix("## "), {})
        elif line.startswith("| `"):
            _, figures, bar, *_ = (cell.strip() for cell in line.split("|"))
            names.update(dict.fromkeys(_NAME.findall(figures), bar.strip("`")))
    return found


def chapter(scenario: str) -> dict[str, str]:
    """One scenario's figures and bars; empty when it has no chapter."""
    return chapters().get(scenario, {})
