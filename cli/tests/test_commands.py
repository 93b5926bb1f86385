"""The command line: every failure is a sentence with a way out, never a traceback."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from odeon_cli.events import planned
from odeon_cli.main import app
from typer.testing import CliRunner


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ODEON_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (["events", "list"], "odeon up"),
        (["events", "list", "--url", "http://127.0.0.1:9"], "--api-key"),
        (["events", "end", "x", "--url", "http://127.0.0.1:9", "--api-key", "k"], "odeon up"),
        (["token", "playback", "demo"], "odeon up"),
        (["env"], "odeon up"),
        (["watch"], "odeon up"),
        (["watch", "http://127.0.0.1:9/t/x/t/e/main.m3u8", "--ca-file", "/none"], "odeon up --tls"),
        (["publish"], "--help"),
        (["publish", "--test-card"], "odeon up"),
        (["publish", "--test-card", "--url", "http://127.0.0.1:9/whip/x"], "odeon token publish"),
        (["publish", "--test-card", "--size", "1x1"], "1280x720"),
        (["publish", "/none.mp4"], ""),
        (["up", "--host", "0.0.0.0"], "hostname -I"),
        (["up", "--edges", "0"], ""),
        (["up", "--edges", "3", "--host", "192.0.2.1"], "--host"),
        (["up", "--port-base", "70000"], "1024"),
        (["up", "--data-dir", "/proc/none"], ""),
    ],
)
def test_a_failure_is_a_sentence_with_a_way_out(arguments: list[str], advice: str) -> None:
    done = CliRunner().invoke(app, arguments)

    assert (done.exit_code, done.stdout) == (1, "")
    assert "error:" in done.stderr
    assert advice in done.stderr


def test_the_program_itself_prints_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "odeon_cli", "events", "list"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_with_json_a_failure_is_json_too() -> None:
    done = CliRunner().invoke(app, ["events", "list", "--json"])

    assert done.exit_code == 1
    assert json.loads(done.stdout)["hint"]


def test_doctor_lists_what_is_there_for_people_and_for_scripts() -> None:
    table = CliRunner().invoke(app, ["doctor"])
    record = json.loads(CliRunner().invoke(app, ["doctor", "--json"]).stdout)

    assert "Python" in table.stdout
    names = {finding["name"] for finding in record["findings"]}
    assert {"Python", "nats-server", "odeon-edge", "odeon-media", "ports", "NVIDIA GPU"} <= names
    assert all(f["advice"] for f in record["findings"] if f["verdict"] == "missing")


@pytest.mark.parametrize("command", ["up", "publish", "watch", "token", "events", "env", "doctor"])
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])

    assert done.exit_code == 0
    assert "Usage" in done.stdout


def test_a_planned_time_of_any_zone_is_told_as_what_it_is() -> None:
    east = timezone(timedelta(hours=8))
    event = planned(
        title="T", profile="", at=datetime(2031, 5, 4, 20, tzinfo=east), until=None, viewers=90
    )

    assert event.schedule_time.ToDatetime(UTC) == datetime(2031, 5, 4, 12, tzinfo=UTC)
    assert not event.HasField("schedule_end_time")
    assert event.expected_viewers == 90
