"""Alerts of the chart, by Prometheus' own tests: each fires when it should and rests otherwise."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from odeon_testkit import charts
from odeon_testkit.kube.api import Object

Series = dict[str, str]
_15_S = "15s"
"""Between two samples, as the chart scrapes."""
# Values as promtool writes them: `0x40` is forty times zero, `0+1x40` grows by one each time.
FLAT, ONE, GROWING = "0x40", "1x40", "0+1x40"
POD = 'pod="a"'
CASES: dict[str, tuple[Series, Series]] = {
    # While a standby waits it has no sample of being the leader either.
    "OdeonOperatorAway": (
        {f"odeon_operator_leader{{{POD}}}": FLAT},
        {f"odeon_operator_leader{{{POD}}}": FLAT, 'odeon_operator_leader{pod="b"}': ONE},
    ),
    "OdeonOperatorBlind": (
        {"odeon_operator_watch_age_seconds": "0+15x40"},
        {"odeon_operator_watch_age_seconds": "0 15 30 0 15 30 0 15 30 0 15 30 0 15 30 0"},
    ),
    "OdeonNatsLost": (
        {f"odeon_bus_connected{{{POD}}}": FLAT, 'odeon_bus_connected{pod="b"}': ONE},
        {f"odeon_bus_connected{{{POD}}}": "1 0 1x40"},
    ),
    "OdeonFactsDropped": (
        {f"odeon_bus_dropped_facts_total{{{POD}}}": GROWING},
        {f"odeon_bus_dropped_facts_total{{{POD}}}": "7x40"},
    ),
    "OdeonDeadLetters": (
        {'odeon_bus_dead_letters_total{reason="FAILED"}': "0 0 1x40"},
        {'odeon_bus_dead_letters_total{reason="FAILED"}': "3x40"},
    ),
    "OdeonRecorderDiskShort": (
        {f"odeon_recorder_spool_free_bytes{{{POD}}}": "1000000000x40"},
        {f"odeon_recorder_spool_free_bytes{{{POD}}}": "9000000000x40"},
    ),
    "OdeonArchiveAway": (
        {
            f"odeon_recorder_archive_failures_total{{{POD}}}": GROWING,
            f"odeon_recorder_unarchived_segments{{{POD}}}": "0+5x40",
        },
        # It failed now and then, and nothing waits.
        {
            f"odeon_recorder_archive_failures_total{{{POD}}}": GROWING,
            f"odeon_recorder_unarchived_segments{{{POD}}}": "3x40",
        },
    ),
    "OdeonSpoolFailing": (
        {f"odeon_recorder_spool_failures_total{{{POD}}}": GROWING},
        {f"odeon_recorder_spool_failures_total{{{POD}}}": FLAT},
    ),
    "OdeonNodeWithoutRoom": (
        {f"odeon_signaling_room_reachable{{{POD}}}": FLAT},
        {f"odeon_signaling_room_reachable{{{POD}}}": "1 0 0 1x40"},
    ),
    "OdeonNodeBusy": (
        {f"odeon_signaling_cpu_load{{{POD}}}": "0.95x40"},
        {f"odeon_signaling_cpu_load{{{POD}}}": "0.5 0.9 0.5 0.9 0.5x40"},
    ),
    "OdeonProbesFail": (
        {'odeon_prober_probes_total{stage="ice"}': "0+2x40"},
        {'odeon_prober_probes_total{stage="ok"}': "0+4x40"},
    ),
    "OdeonTranscodersFull": (
        {
            'odeon_transcoder_slots{pod="a",state="used"}': "4x40",
            'odeon_transcoder_slots{pod="a",state="total"}': "4x40",
        },
        {
            'odeon_transcoder_slots{pod="a",state="used"}': "4x40",
            'odeon_transcoder_slots{pod="a",state="total"}': "4x40",
            'odeon_transcoder_slots{pod="b",state="used"}': FLAT,
            'odeon_transcoder_slots{pod="b",state="total"}': "4x40",
        },
    ),
    "OdeonRungsRest": (
        {f"odeon_transcoder_rungs_resting{{{POD}}}": ONE},
        {f"odeon_transcoder_rungs_resting{{{POD}}}": "0 1 0x40"},
    ),
    "OdeonPartsWait": (
        {f"odeon_transcoder_parts_pending{{{POD}}}": "0+10x40"},
        {f"odeon_transcoder_parts_pending{{{POD}}}": "4x40"},
    ),
    "OdeonEdgeOriginFails": (
        {f"odeon_edge_origin_failures_total{{{POD}}}": GROWING},
        {f"odeon_edge_origin_failures_total{{{POD}}}": "5x40"},
    ),
    "OdeonEdgeUntrusting": (
        {
            f"odeon_edge_trust_auth_up{{{POD}}}": FLAT,
            f"odeon_edge_trust_nats_up{{{POD}}}": FLAT,
        },
        {
            f"odeon_edge_trust_auth_up{{{POD}}}": ONE,
            f"odeon_edge_trust_nats_up{{{POD}}}": FLAT,
        },
    ),
    "OdeonEdgeTurnsAway": (
        {f"odeon_edge_turned_away_total{{{POD}}}": GROWING},
        {f"odeon_edge_turned_away_total{{{POD}}}": FLAT},
    ),
    "OdeonPoolInTrouble": (
        {'odeon_operator_pools_in_trouble{condition="Ready"}': ONE},
        {'odeon_operator_pools_in_trouble{condition="Ready"}': "0 1 1 1 0x40"},
    ),
    "OdeonDrainUnknown": (
        {f"odeon_pool_drain_known{{{POD}}}": FLAT},
        {f"odeon_pool_drain_known{{{POD}}}": "0 0 1x40"},
    ),
}
# The operator is away in all others, where nobody says that it leads.
LEADS: Series = {'odeon_operator_leader{pod="z"}': ONE}


@pytest.fixture
def rules() -> list[Any]:
    (one,) = [o for o in charts.rendered("ha") if o["kind"] == "PrometheusRule"]
    found: list[Any] = one["spec"]["groups"][0]["rules"]
    return found


@pytest.fixture
def promtool(rules: list[Any], tmp_path: Path) -> Callable[[list[Object]], str]:
    """Runs tests of the rules; returns what it says."""
    program = shutil.which("promtool")
    if program is None:
        advice = "promtool is missing: scripts/setup.sh test installs Debian's package prometheus"
        if os.environ.get("CI") == "true":
            pytest.fail(advice, pytrace=False)
        pytest.skip(advice)

    def run(tests: list[Object]) -> str:
        groups = {"groups": [{"name": "odeon", "rules": rules}]}
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(groups))
        asked = {"rule_files": ["rules.yaml"], "evaluation_interval": _15_S, "tests": tests}
        (tmp_path / "tests.yaml").write_text(yaml.safe_dump(asked))
        command = [program, "test", "rules", "tests.yaml"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        return done.stdout + done.stderr

    return run


def case(series: Series, alert: str, told: list[Object]) -> Object:
    return {
        "interval": _15_S,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        # Nine minutes: past all that an alert waits for.
        "alert_rule_test": [{"eval_time": "9m", "alertname": alert, "exp_alerts": told}],
    }


def fired(rule: Object, series: Series) -> list[Object]:
    """What Prometheus tells of an alert of pod `a`, or of the one label that its series has."""
    labels = {"severity": rule["labels"]["severity"]}
    first = next(iter(series))
    for label in ("pod", "reason", "stage", "condition"):
        if f"by ({label})" in rule["expr"] and f"{label}=" in first:
            labels[label] = first.split(f'{label}="', 1)[1].split('"', 1)[0]
    return [{"exp_labels": labels, "exp_annotations": annotated(rule, labels)}]


def annotated(rule: Object, labels: dict[str, str]) -> dict[str, str]:
    texts: dict[str, str] = dict(rule["annotations"])
    for name, value in labels.items():
        texts["summary"] = texts["summary"].replace(f"{{{{ $labels.{name} }}}}", value)
    return texts


def test_each_alert_fires_when_it_should_and_rests_otherwise(
    promtool: Callable[[list[Object]], str], rules: list[Any]
) -> None:
    alerts = {rule["alert"]: rule for rule in rules}
    assert set(CASES) == set(alerts)
    tests = []
    for name, (bad, good) in CASES.items():
        leads = {} if name == "OdeonOperatorAway" else LEADS
        tests.append(case({**bad, **leads}, name, fired(alerts[name], bad)))
        tests.append(case({**good, **leads}, name, []))

    assert "SUCCESS" in promtool(tests)


def test_nobody_leads_is_also_heard_where_no_operator_is_left(
    promtool: Callable[[list[Object]], str], rules: list[Any]
) -> None:
    (rule,) = [one for one in rules if one["alert"] == "OdeonOperatorAway"]
    others_live: Series = {f"odeon_bus_connected{{{POD}}}": ONE}

    assert "SUCCESS" in promtool([case(others_live, rule["alert"], fired(rule, others_live))])
