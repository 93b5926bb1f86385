"""Logs of children are bounded."""

from pathlib import Path

from odeon_cli.up.logfile import LogFile, last_lines


def test_a_log_that_grew_too_large_begins_anew_and_keeps_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "room.log"
    with LogFile(path, limit=100) as log:
        for number in range(30):
            log.write(f"line {number:03}\n".encode())

    old = tmp_path / "room.log.1"
    assert path.stat().st_size <= 100
    assert old.stat().st_size <= 100
    assert last_lines(path)[-1] == "line 029"


def test_a_new_start_goes_on_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "room.log"
    for word in (b"one\n", b"two\n"):
        with LogFile(path) as log:
            log.write(word)

    assert last_lines(path) == ["one", "two"]


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none.log") == []
