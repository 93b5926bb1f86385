"""`odeon doctor`: what this machine has, what is missing, and how to get it."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from odeon_cli.console import CliError, console, emit, show_table
from odeon_cli.up.plan import edge_program, port_names, web_root
from odeon_cli.up.ports import DEFAULT_BASE, is_free

_MIN_PYTHON = (3, 11)
_MIN_NODE = (20, 19)
_MIN_RUST = (1, 88)
_MIN_FREE_GB = 2.0
_TIMEOUT_S = 10.0


class Verdict(StrEnum):
    """How it looks."""

    OK = "ok"
    OPTIONAL = "optional"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    verdict: Verdict
    found: str
    advice: str = ""
    needed_for: str = "odeon up"


def doctor(*, as_json: bool) -> None:
    """Print the findings; raises CliError when something that `odeon up` needs is missing."""
    findings = [check() for check in _CHECKS]
    missing = [f for f in findings if f.verdict is Verdict.MISSING]
    if as_json:
        emit({"ok": not missing, "findings": [asdict(f) for f in findings]})
    else:
        signs = {Verdict.OK: "✔", Verdict.OPTIONAL: "–", Verdict.MISSING: "✘"}
        rows = [(signs[f.verdict], f.name, f.found, f.needed_for, f.advice) for f in findings]
        show_table("", ("", "what", "found", "for", "how to get it"), rows)
    if missing:
        names = ", ".join(f.name for f in missing)
        if as_json:
            raise SystemExit(1)
        raise CliError(f"missing: {names}", hint=missing[0].advice)
    if not as_json:
        console().print("everything that `odeon up` needs is here", style="green")


def version_of(text: str) -> tuple[int, ...]:
    """The first dotted number in a program's version line, e.g. (20, 19, 1); () when none."""
    match = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def _python() -> Finding:
    good = sys.version_info[:2] >= _MIN_PYTHON
    return Finding(
        "Python",
        Verdict.OK if good else Verdict.MISSING,
        platform.python_version(),
        "" if good else "install Python 3.11 or later (Debian 12 has it: apt install python3)",
    )


def _program(
    name: str,
    *,
    least: tuple[int, ...] = (),
    advice: str,
    needed_for: str,
    argument: str = "--version",
) -> Finding:
    path = shutil.which(name)
    lacking = Verdict.MISSING if needed_for == "odeon up" else Verdict.OPTIONAL
    if path is None:
        return Finding(name, lacking, "not found", advice, needed_for)
    said = _first_line([path, argument])
    version = version_of(said)
    if least and version < least:
        wanted = ".".join(map(str, least))
        return Finding(name, lacking, said, f"{wanted} or later: {advice}", needed_for)
    return Finding(name, Verdict.OK, said or path, "", needed_for)


def _first_line(argv: list[str]) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").splitlines()
    return lines[0].strip()[:80] if lines else ""


def _rust() -> Finding:
    return _program(
        "cargo",
        least=_MIN_RUST,
        advice="install Rust with rustup: https://rustup.rs (Debian's own is too old)",
        needed_for="make setup",
    )


def _node() -> Finding:
    return _program(
        "node",
        least=_MIN_NODE,
        advice="install Node 20.19 or later: https://nodejs.org",
        needed_for="make setup",
    )


def _nats() -> Finding:
    beside = Path(sys.executable).with_name("nats-server")
    path = str(beside) if beside.exists() else shutil.which("nats-server")
    if path is None:
        return Finding("nats-server", Verdict.MISSING, "not found", "run `make setup`")
    return Finding("nats-server", Verdict.OK, _first_line([path, "--version"]))


def _edge() -> Finding:
    try:
        return Finding("odeon-edge", Verdict.OK, edge_program())
    except CliError as error:
        return Finding("odeon-edge", Verdict.MISSING, "not built", error.hint)


def _media_core() -> Finding:
    found = importlib.util.find_spec("odeon_media")
    folder = Path(found.origin).parent if found and found.origin else None
    if folder is not None and any(folder.glob("_core*.so")):
        return Finding("odeon-media", Verdict.OK, str(folder))
    return Finding("odeon-media", Verdict.MISSING, "not built", "run `make setup`")


def _web_app() -> Finding:
    pages = web_root()
    if (pages / "index.html").is_file():
        return Finding("web app", Verdict.OK, str(pages))
    return Finding("web app", Verdict.OPTIONAL, "not built", "run `make setup`", "the pages")


def _chdb() -> Finding:
    if importlib.util.find_spec("chdb"):
        return Finding("chDB", Verdict.OK, "installed", "", "analytics at scale")
    advice = "run `make chdb` (500 MB); SQLite serves until then"
    return Finding("chDB", Verdict.OPTIONAL, "not installed", advice, "analytics at scale")


def _ffmpeg() -> Finding:
    advice = "apt install ffmpeg"
    return _program("ffmpeg", advice=advice, needed_for="make test", argument="-version")


def _chromium() -> Finding:
    return _program("chromium", advice="apt install chromium", needed_for="make test")


def _postgres() -> Finding:
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), reverse=True)
    if candidates:
        said = _first_line([str(candidates[0]), "--version"])
        return Finding("postgres", Verdict.OK, said, "", "make test")
    return Finding("postgres", Verdict.OPTIONAL, "not found", "apt install postgresql", "make test")


def _ports() -> Finding:
    names = port_names(edges=1, transcoders=1)
    taken = [
        port
        for port in range(DEFAULT_BASE, DEFAULT_BASE + len(names))
        if not is_free("127.0.0.1", port)
    ]
    block = f"{DEFAULT_BASE}-{DEFAULT_BASE + len(names) - 1}"
    if not taken:
        return Finding("ports", Verdict.OK, f"{block} are free")
    advice = "others are chosen by themselves, or name a block with --port-base"
    return Finding("ports", Verdict.OPTIONAL, f"{taken[0]} of {block} is taken", advice)


def _gpu() -> Finding:
    devices = sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    if not devices:
        advice = "none is needed: encoding runs on the CPU"
        return Finding("NVIDIA GPU", Verdict.OPTIONAL, "none", advice, "faster encoding")
    usable = all(os.access(device, os.R_OK | os.W_OK) for device in devices)
    advice = "" if usable else "let your user open it (group video or render)"
    verdict = Verdict.OK if usable else Verdict.OPTIONAL
    return Finding("NVIDIA GPU", verdict, ", ".join(devices), advice, "faster encoding")


def _disk() -> Finding:
    folder = tempfile.gettempdir()
    free_gb = shutil.disk_usage(folder).free / 1e9
    said = f"{free_gb:.1f} GB free in {folder}"
    if free_gb >= _MIN_FREE_GB:
        return Finding("disk", Verdict.OK, said)
    return Finding("disk", Verdict.OPTIONAL, said, "use --data-dir on a larger disk")


def _cores() -> Finding:
    cores = len(os.sched_getaffinity(0))
    if cores >= 2:
        return Finding("CPU", Verdict.OK, f"{cores} cores")
    return Finding("CPU", Verdict.OPTIONAL, f"{cores} core", "use --demo-size 640x360")


_CHECKS: tuple[Callable[[], Finding], ...] = (
    _python, _nats, _edge, _media_core, _web_app, _ports, _disk, _cores, _gpu,
    _rust, _node, _chdb, _ffmpeg, _chromium, _postgres,
)  # fmt: skip
