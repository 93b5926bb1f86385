"""Which deployment a command talks to, and how a shell is told."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from odeon_cli.console import CliError
from odeon_cli.state import Running, announce
from odeon_cli.target import find_target


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Running:
    monkeypatch.setenv("ODEON_HOME", str(tmp_path / "home"))
    running = Running(
        gateway="http://127.0.0.1:1",
        edge="http://127.0.0.1:2",
        grpc="127.0.0.1:3",
        api_key="odk_it's a secret",
        tenant="default",
        pid=os.getpid(),
        data_dir=str(tmp_path / "data"),
        event="demo",
    )
    announce(running)
    return running


def test_a_shell_takes_over_what_env_prints(running: Running) -> None:
    odeon = f"{sys.executable} -m odeon_cli"
    script = (
        f'set -eu; eval "$({odeon} env)"\n'
        'printf "%s\\n" "$ODEON_URL" "$ODEON_GRPC" "$ODEON_API_KEY" "$ODEON_EVENT"\n'
        'printf "%s\\n" "${ODEON_CA_FILE-unset}"'
    )

    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines() == [
        running.gateway, running.grpc, running.api_key, running.event, "unset",
    ]  # fmt: skip


def test_a_url_that_names_the_deployment_here_knows_its_edges_too(running: Running) -> None:
    target = find_target(running.gateway + "/", running.api_key, "", None)

    assert (target.edge, target.tenant) == (running.edge, running.tenant)


def test_another_deployment_is_taken_as_it_is_named(running: Running) -> None:
    target = find_target("https://live.example.org/", "odk_other", "/ca.pem", None)

    assert (target.url, target.api_key, target.edge) == (
        "https://live.example.org",
        "odk_other",
        "",
    )
    with pytest.raises(CliError, match="API key"):
        find_target("https://live.example.org", "", "", None)


def test_without_a_url_a_key_may_still_be_another(running: Running) -> None:
    announce(replace(running, ca_file="/data/tls/ca.pem"))

    target = find_target("", "odk_viewer", "", None)

    assert (target.url, target.api_key) == (running.gateway, "odk_viewer")
    assert target.ca_file == "/data/tls/ca.pem"
