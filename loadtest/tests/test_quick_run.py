"""One scenario for real: the cheapest, without a browser. What it prints is what scripts read."""

import asyncio
import json
import sys
import time
from typing import Any

import pytest

from .documents import chapter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

QUICK_S = 45
"""What `--quick` promises."""
TIMINGS = ("edge_playlist_added_p99", "edge_part_added_p99")
"""Judged where nothing else runs, never by a test."""


async def test_a_quick_run_is_quick_and_tells_every_figure_that_is_documented() -> None:
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "odeon_cli", "loadtest", "audience", "--quick", "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    took_s = time.monotonic() - began

    last: dict[str, Any] = json.loads(output.splitlines()[-1])
    figures = {figure["name"]: figure for figure in last["figures"]}
    assert (last["scenario"], last["quick"]) == ("audience", True)
    assert {name: figure["bar"] or "" for name, figure in figures.items()} == chapter("audience")
    assert [n for n, f in figures.items() if not f["ok"] and n not in TIMINGS] == []
    assert process.returncode == (0 if all(f["ok"] for f in figures.values()) else 1)
    assert took_s < QUICK_S
