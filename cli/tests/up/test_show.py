"""What people see when a deployment starts and runs."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from odeon_cli.console import console
from odeon_cli.state import Running
from odeon_cli.up.child import Child, ProcessSpec, State
from odeon_cli.up.show import LiveShow, RunningShow, Show, links_text, show_running
from odeon_cli.up.supervisor import Supervisor
from odeon_testkit.wait import until

RUNNING = Running(
    gateway="http://127.0.0.1:8400",
    edge="http://127.0.0.1:8402",
    edges=("http://127.0.0.1:8402", "http://127.0.0.2:8402"),
    grpc="127.0.0.1:8401",
    api_key="odk_abc_" + "0" * 48,
    pid=1,
    data_dir="/tmp/odeon-x",
    event="demo",
    watch_url="http://127.0.0.1:8400/watch/demo#invite=" + "w" * 400,
    studio_url="http://127.0.0.1:8400/studio/demo#invite=" + "s" * 400,
    whip_url="http://127.0.0.1:8400/whip/demo",
    whip_token="t" * 400,
    playlist_url="http://127.0.0.1:8402/t/" + "p" * 400 + "/default/demo/main.m3u8",
)


def test_the_table_is_narrow_and_shows_no_token(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    show_running(RUNNING, 7.8)

    shown = capsys.readouterr().out
    assert max(len(line) for line in shown.splitlines()) <= 100
    assert len(shown.splitlines()) < 30
    copied = "/tmp/odeon-x/links.txt"
    for address in (*RUNNING.edges, RUNNING.grpc, RUNNING.api_key, RUNNING.whip_url, copied):
        assert address in shown
    assert not any(letter * 20 in shown for letter in "wspt")


def test_every_link_is_in_the_file_to_copy_from() -> None:
    text = links_text(RUNNING)

    for link in (RUNNING.watch_url, RUNNING.studio_url, RUNNING.playlist_url, RUNNING.whip_token):
        assert f"\n{link}\n" in text


def test_without_a_demo_there_are_no_next_steps(capsys: pytest.CaptureFixture[str]) -> None:
    show_running(Running(gateway="g", edge="e", grpc="r", api_key="k", pid=1, data_dir="d"), 1.0)

    assert "Next steps" not in capsys.readouterr().out


READY = """
import json, time
print(json.dumps({"event": "ready"}), flush=True)
time.sleep(600)
"""


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Standard error is taken for a terminal, which shows a table that changes in place."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    console.cache_clear()
    yield
    console.cache_clear()


async def killed_and_back(show: Show, logs: Path) -> None:
    """A process that dies under the eyes of somebody, and comes back."""
    async with Supervisor(logs, show.child) as supervisor:
        child = supervisor.start(ProcessSpec(name="edge-1", argv=(sys.executable, "-c", READY)))
        await supervisor.wait_ready(["edge-1"])
        first = child.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        async def back() -> bool:
            return child.state is State.READY and child.pid not in (None, first)

        await until(back)


async def test_a_process_that_dies_and_returns_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await killed_and_back(RunningShow(), tmp_path)

    told = capsys.readouterr().err
    log = tmp_path / "edge-1.log"
    assert f"edge-1 died (signal 9) and is started again; its log: {log}\n" in told
    assert "edge-1 is back (pid " in told


async def test_the_table_of_the_start_shows_each_process_and_its_state(
    tmp_path: Path, terminal: None, capsys: pytest.CaptureFixture[str]
) -> None:
    show = LiveShow()

    await killed_and_back(show, tmp_path)
    show.close()

    told = capsys.readouterr().err
    states = ("starting", "ready", "restarting", "stopping", "stopped")
    places = [told.index(state) for state in states]
    assert places == sorted(places)
    assert "edge-1" in told


def test_a_process_that_could_not_be_run_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    show = RunningShow()
    child = Child(ProcessSpec(name="edge-1", argv=("odeon-edge",)), tmp_path / "log", show.child)
    child.state = State.RESTARTING

    show.child(child)

    assert "edge-1 died (never ran)" in capsys.readouterr().err
