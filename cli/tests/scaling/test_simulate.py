"""What the operator promises, on loads that autoscalers are judged by, beside the models."""

import builtins
import json
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from odeon_cli.main import app
from odeon_cli.scaling.measure import most_turns
from typer.testing import CliRunner

EXAMPLES = Path(__file__).parents[3] / "examples/scaling"
POLICY = """
apiVersion: odeon.live/v1alpha1
kind: ScalingPolicy
metadata: {name: p}
spec: {buffer: "20%%"}
---
apiVersion: odeon.live/v1alpha1
kind: %s
metadata: {name: pool}
spec: {minReplicas: 1, maxReplicas: 30, %s: %d}
"""
KINDS = {
    "transcoders": ("TranscoderPool", "slotsPerPod", 4),
    "edges": ("EdgePool", "viewersPerPod", 100),
}


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return written(tmp_path, "transcoders")


def written(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.yaml"
    path.write_text(POLICY % KINDS[kind])
    return path


def simulated(*arguments: str | Path) -> dict[str, Mapping[str, Any]]:
    done = CliRunner().invoke(
        app, ["scaling", "simulate", *map(str, arguments), "--tick", "15", "--json"]
    )
    assert done.exit_code == 0, done.output
    return {r["scaler"]: r for r in json.loads(done.stdout)["results"]}


def refused(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, ["scaling", "simulate", *map(str, arguments)])
    assert done.exit_code == 1
    return done.stderr


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("shape", ["step", "ramp", "sine", "flash-crowd"])
def test_capacity_follows_within_a_cold_start_without_flapping_or_killing(
    tmp_path: Path, kind: str, shape: str
) -> None:
    odeon = simulated("--policy", written(tmp_path, kind), "--synthetic", shape)["odeon"]

    assert odeon["behind_s"] == 0
    assert odeon["killed"] == 0
    assert odeon["turns"] <= 1


def test_booked_events_find_their_capacity_and_the_models_know_of_none(policy: Path) -> None:
    results = simulated("--policy", policy, "--synthetic", "bookings")

    assert results["odeon"]["booked"] == results["odeon"]["booked_on_time"] == 8
    assert results["odeon"]["killed"] == results["odeon"]["short_s"] == 0
    assert results["hpa"]["booked_on_time"] < 8


def test_the_models_kill_what_the_operator_keeps(policy: Path) -> None:
    results = simulated("--policy", policy, "--synthetic", "sine")

    assert results["odeon"]["killed"] == 0
    assert results["hpa"]["killed"] > 0
    assert results["keda"]["killed"] > 0


def test_a_recorded_load_and_its_booking_are_replayed() -> None:
    results = simulated("--policy", EXAMPLES / "gala.yaml", "--trace", EXAMPLES / "gala.csv")

    assert (results["odeon"]["booked"], results["odeon"]["booked_on_time"]) == (1, 1)
    assert results["odeon"]["peak_pods"] <= 30


@pytest.mark.parametrize("name", ["plot.png", "plot.svg"])
def test_a_picture_is_drawn(policy: Path, tmp_path: Path, name: str) -> None:
    picture = tmp_path / name

    simulated("--policy", policy, "--synthetic", "step", "--plot", picture)

    start = picture.read_bytes()[:400]
    assert start.startswith(b"\x89PNG") if name.endswith("png") else b"<svg" in start
    assert picture.stat().st_size < 300_000


def test_without_matplotlib_the_way_to_get_it_is_said(
    policy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return real(name, *rest, **more)

    for name in [n for n in sys.modules if n.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", without)

    said = refused("--policy", policy, "--synthetic", "step", "--plot", tmp_path / "p.png")

    assert 'pip install "odeon[plot]"' in said


def test_each_decision_is_written_with_its_reasons(policy: Path, tmp_path: Path) -> None:
    lines = tmp_path / "decisions.jsonl"

    simulated("--policy", policy, "--synthetic", "step", "--decisions", lines)

    records = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(records) > 2
    assert all(r["explain"][0].startswith(f"pool wants {r['wanted']} pods") for r in records)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--synthetic step"),
        (["--synthetic", "cliff"], "flash-crowd"),
        (["--trace", "/none.csv"], "No such file"),
        (["--synthetic", "step", "--plot", "plot.pdf"], ".png"),
        (["--synthetic", "step", "--plot", "/none/plot.svg"], "No such file"),
        (["--synthetic", "step", "--decisions", "/none/x"], "No such file"),
    ],
)
def test_a_failure_is_a_sentence_with_a_way_out(
    policy: Path, arguments: list[str], said: str
) -> None:
    assert said in refused("--policy", policy, "--tick", "60", *arguments)


def test_a_fault_in_the_policy_names_the_file_and_the_field(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text((POLICY % KINDS["edges"]).replace("buffer", "bufer"))

    said = refused("--policy", bad, "--synthetic", "step")

    assert "ScalingPolicy/p spec.bufer" in said.replace("\n", "")


def test_turns_are_counted_within_the_window_that_holds_most() -> None:
    window = timedelta(seconds=30)

    assert most_turns([1, 2, 3, 3, 4], 10, window) == 0
    assert most_turns([1, 2, 1, 1, 1, 1, 2], 10, window) == 1
    assert most_turns([1, 2, 1, 2, 1], 10, window) == 3
