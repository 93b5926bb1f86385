"""Set-up on a bare machine: uv without pip, and what a second run may not take away."""

import hashlib
import io
import os
import re
import subprocess
import sys
import threading
import tomllib
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WHEEL = "uv-0.0.1-py3-none-any.whl"
BARE_PYTHON = (sys.executable, "-I", "-S", "-c")
"""Python as Debian's python3 package has it: nothing beside the standard library."""
GET = """
import importlib.util, sys
from pathlib import Path
spec = importlib.util.spec_from_file_location("get_uv", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
print(module.get_uv(*sys.argv[2:5], Path(sys.argv[5])))
"""


@pytest.fixture
def index(tmp_path: Path) -> Iterator[str]:
    """A package index that has one wheel of uv, whose program says hello."""
    pages = tmp_path / "index"
    (pages / "simple" / "uv").mkdir(parents=True)
    (pages / "files").mkdir()
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as archive:
        archive.writestr("uv-0.0.1.data/scripts/uv", "#!/bin/sh\necho hello\n")
    (pages / "files" / WHEEL).write_bytes(body.getvalue())
    link = f'<a href="../../files/{WHEEL}#sha256=0">{WHEEL}</a>'
    (pages / "simple" / "uv" / "index.html").write_text(f"<!DOCTYPE html>{link}")
    handler = partial(SimpleHTTPRequestHandler, directory=str(pages))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, name="index")
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/simple"
        server.shutdown()
        thread.join()


def get_uv(index: str, digest: str, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = (str(ROOT / "scripts" / "get_uv.py"), index, WHEEL, digest, str(folder))
    return subprocess.run(
        (*BARE_PYTHON, GET, *arguments), capture_output=True, text=True, check=False
    )


def test_uv_comes_from_its_wheel_without_pip(index: str, tmp_path: Path) -> None:
    digest = hashlib.sha256((tmp_path / "index" / "files" / WHEEL).read_bytes()).hexdigest()

    done = get_uv(index, digest, tmp_path / "uv")

    assert done.returncode == 0, done.stderr
    assert subprocess.run([done.stdout.strip()], capture_output=True).stdout == b"hello\n"


def test_a_wheel_that_is_not_the_pinned_one_is_refused(index: str, tmp_path: Path) -> None:
    done = get_uv(index, "0" * 64, tmp_path / "uv")

    assert done.returncode != 0
    assert "is not the file it should be" in done.stderr
    assert not (tmp_path / "uv").exists()


@pytest.mark.parametrize(
    ("mode", "installed", "wanted"),
    [("run", False, False), ("run", True, True), ("chdb", False, True), ("test", False, True)],
)
def test_chdb_is_fetched_on_request_and_stays_once_it_is_there(
    mode: str, installed: bool, wanted: bool, tmp_path: Path
) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{tmp_path}/site" exec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    if installed:
        (tmp_path / "site" / "chdb").mkdir(parents=True)
        (tmp_path / "site" / "chdb" / "__init__.py").touch()
    function = subprocess.run(
        ["sed", "-n", "/^wants_chdb()/,/^}/p", str(ROOT / "scripts" / "setup.sh")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    done = subprocess.run(
        ["bash", "-c", f"{function}\nmode={mode} wants_chdb"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
    )

    assert function
    assert (done.returncode == 0) is wanted


def test_every_folder_of_tests_is_in_one_of_the_parts_that_are_run() -> None:
    script = (ROOT / "scripts" / "test.sh").read_text()
    parts = re.findall(r"^(?:here|beside|alone)=\(([^)]*)\)", script, re.MULTILINE)
    named = [folder for part in parts for folder in part.split()]
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]

    assert len(parts) == 3
    assert all((ROOT / folder).is_dir() for folder in named)
    # Those of services that no part names run beside.
    assert sorted(f for f in {*named, "services"} if "/" not in f) == sorted(config["testpaths"])
