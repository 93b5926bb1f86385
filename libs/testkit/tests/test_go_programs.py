"""Go programs are built once, by whoever asks first, and told apart by what pins them."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from odeon_testkit.go_programs import GoMissing, GoPrograms

MAIN = 'package main\n\nimport "fmt"\n\nvar word = "?"\n\nfunc main() { fmt.Print(word) }\n'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("ODEON_CACHE", str(folder))
    return folder


@pytest.fixture
def programs(tmp_path: Path) -> GoPrograms:
    """A program of one file, which prints what the linker told it."""
    if shutil.which("go") is None and os.environ.get("CI") != "true":
        pytest.skip("Go is missing")
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example.invalid/said\n\ngo 1.21\n")
    (module / "go.sum").touch()
    (module / "main.go").write_text(MAIN)
    return GoPrograms(
        "said-1", ("example.invalid/said",), module, "-X main.word=hello", {"said": "greeting"}
    )


def said(folder: Path) -> str:
    return subprocess.run([folder / "greeting"], capture_output=True, text=True).stdout


def test_two_who_ask_at_once_get_what_was_built_once(
    programs: GoPrograms, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, calls = tmp_path / "bin" / "go", tmp_path / "calls"
    counting.parent.mkdir()
    counting.write_text(f'#!/bin/sh\necho "$1" >>{calls}\nexec {shutil.which("go")} "$@"\n')
    counting.chmod(0o755)
    monkeypatch.setenv("PATH", f"{counting.parent}:{os.environ['PATH']}")
    assert not programs.built

    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: programs.build(), range(2))

    assert first == second == programs.folder
    assert programs.built
    assert calls.read_text().split() == ["install"]
    assert said(first) == "hello"


def test_what_is_built_needs_no_go(programs: GoPrograms, monkeypatch: pytest.MonkeyPatch) -> None:
    programs.build()
    monkeypatch.setenv("PATH", "")

    assert said(programs.build()) == "hello"


def test_other_pins_are_another_build(programs: GoPrograms) -> None:
    before = programs.folder

    assert programs.module is not None
    (programs.module / "go.sum").write_text("# another\n")

    assert programs.folder != before
    assert programs.folder.name.startswith("said-1-")


def test_without_go_it_says_what_to_install(
    programs: GoPrograms, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(GoMissing, match=r"install it .* builds said-1"):
        programs.build()

    assert not programs.built


def test_a_build_that_fails_leaves_nothing_to_be_taken_for_one(
    programs: GoPrograms, cache: Path
) -> None:
    assert programs.module is not None
    (programs.module / "main.go").write_text("package main\n")

    with pytest.raises(subprocess.CalledProcessError):
        programs.build()

    assert not programs.built
    assert [f.name for f in (cache / "go").iterdir() if f.is_dir()] == []
