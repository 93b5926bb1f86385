"""A little of everything on a real API server; the figures are those that are documented."""

import os

import pytest
from odeon_loadtest.report import Report
from odeon_loadtest.scenarios.scaling import Size, measure_as
from odeon_testkit.kube.programs import CONTROL_PLANE

from .documents import chapter

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

TINY = Size(steps=2, bursts=1, pools=2, pods_each=2, quiet_s=1, rest_s=1, scale_ins=1, kills=1)
TIMINGS = {"decision_p50", "decision_p99", "hundred_pods_p50", "hundred_pods_p99"}
"""Judged where nothing else runs, never by a test."""


async def test_every_documented_figure_is_measured_and_nobody_is_cut() -> None:
    if not CONTROL_PLANE.built and os.environ.get("CI") != "true":
        pytest.skip("scripts/setup.sh test builds the API server, with Go")
    report = Report("scaling")

    await measure_as(TINY, report)

    assert {f.name: str(f.bar) if f.bar else "" for f in report.figures} == chapter("scaling")
    assert [f.name for f in report.figures if not f.ok and f.name not in TIMINGS] == []
    found = {f.name: f.value for f in report.figures}
    assert found["sessions"] > 0 and found["scale_ins"] >= 1 and found["operator_kills"] == 1
