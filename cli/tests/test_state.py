"""How the other commands find a running deployment."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from odeon_cli.console import CliError
from odeon_cli.state import Running, announce, find_running, running_in, withdraw


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv("ODEON_HOME", str(tmp_path / "home"))
    return Running(
        gateway="http://127.0.0.1:1",
        edge="http://127.0.0.1:2",
        edges=("http://127.0.0.1:2",),
        grpc="127.0.0.1:3",
        api_key="odk_secret",
        pid=os.getpid(),
        data_dir=str(tmp_path / "data"),
        playlist_url="http://127.0.0.1:2/t/ey.J.x/default/demo/main.m3u8",
    )


def test_the_deployment_started_last_is_found(running: Running) -> None:
    announce(running)

    assert find_running() == running
    assert find_running(Path(running.data_dir)) == running


def test_its_secrets_are_readable_for_their_owner_only(running: Running, tmp_path: Path) -> None:
    announce(running)

    for path in (tmp_path / "home" / "state.json", tmp_path / "data" / "state.json"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_dead_deployment_is_not_found(running: Running) -> None:
    dead = subprocess.Popen([sys.executable, "-S", "-c", ""])
    dead.wait()
    announce(replace(running, pid=dead.pid))

    with pytest.raises(CliError) as refusal:
        find_running()

    assert "odeon up" in refusal.value.hint


def test_who_stops_takes_back_only_its_own_announcement(running: Running, tmp_path: Path) -> None:
    announce(running)
    newer = replace(running, pid=1, data_dir=str(tmp_path / "newer"))
    announce(newer)

    withdraw(Path(running.data_dir))

    assert find_running() == newer
    assert running_in(Path(running.data_dir)) is None


def test_a_state_file_of_a_newer_version_can_be_read(running: Running) -> None:
    text = '{"colour": "red", "gateway": "g", "edge": "e", "grpc": "c", "api_key": "k", '
    text += '"pid": 1, "data_dir": "d"}'

    assert Running.parse(text).gateway == "g"


def test_the_playback_token_is_the_one_in_the_playlist(running: Running) -> None:
    assert running.playback_token == "ey.J.x"
