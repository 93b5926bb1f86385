import json
import math

from odeon_loadtest.report import Bar, Report


def test_a_missed_bar_fails_the_report_and_says_so() -> None:
    report = Report("demo", quick=True)
    report.add("fast", 10, "ms", Bar("<=", 20))
    report.add("slow", 30, "ms", Bar("<=", 20))

    last = json.loads(report.to_json())

    assert not report.ok
    assert [f["ok"] for f in last["figures"]] == [True, False]
    assert last["figures"][1] == {
        "name": "slow",
        "value": 30,
        "unit": "ms",
        "bar": "<= 20",
        "ok": False,
    }


def test_what_could_not_be_measured_misses_its_bar() -> None:
    report = Report("demo")
    report.add("unknown", math.nan, "ms", Bar("<=", 20))

    assert not report.ok
    assert json.loads(report.to_json())["figures"][0]["value"] is None
