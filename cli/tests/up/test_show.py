"""What people see when a deployment runs."""

import pytest
from odeon_cli.state import Running
from odeon_cli.up.show import links_text, show_running

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
    for address in (*RUNNING.edges, RUNNING.grpc, RUNNING.api_key, RUNNING.whip_url):
        assert address in shown
    assert not any(letter * 20 in shown for letter in "wspt")


def test_every_link_is_in_the_file_to_copy_from() -> None:
    text = links_text(RUNNING)

    for link in (RUNNING.watch_url, RUNNING.studio_url, RUNNING.playlist_url, RUNNING.whip_token):
        assert f"\n{link}\n" in text


def test_without_a_demo_there_are_no_next_steps(capsys: pytest.CaptureFixture[str]) -> None:
    show_running(Running(gateway="g", edge="e", grpc="r", api_key="k", pid=1, data_dir="d"), 1.0)

    assert "Next steps" not in capsys.readouterr().out
