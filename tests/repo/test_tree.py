"""The tree keeps its own rules: sizes, service READMEs, locks without addresses."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAX_FUNCTION_LINES = 80
MAX_MODULE_LINES = 600
README_HEADS = ["Owns", "RPCs", "Subjects", "Settings", "Rules: where", "When it fails"]
SERVICES = [
    *(f"services/{name}" for name in ("auth", "room", "signaling", "transcoder")),
    *(f"services/{name}" for name in ("recorder", "analytics", "gateway", "edge")),
    "operator",
]


def tracked(*patterns: str) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z", "--", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).exists()]


def python_sources() -> list[Path]:
    return [p for p in tracked("*.py") if "gen" not in p.parts]


def test_no_module_is_too_long_to_know() -> None:
    sources = python_sources() + [
        p for p in tracked("*.rs", "*.ts", "*.tsx") if "gen" not in p.parts
    ]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources}

    assert {name: n for name, n in lengths.items() if n > MAX_MODULE_LINES} == {}


def test_no_function_is_too_long_to_read() -> None:
    long = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION_LINES
    ]

    assert long == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_readme_has_the_fixed_heads_and_its_rules_exist(service: str) -> None:
    folder = ROOT / service
    text = (folder / "README.md").read_text()

    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [h for h in README_HEADS if h not in heads] == []
    rules = text.split("## Rules: where", 1)[1].split("\n## ", 1)[0]
    named = re.findall(r"`([\w./-]+\.(?:py|rs))`", rules)
    missing = [n for n in named if not (folder / n).exists() and not (ROOT / n).exists()]
    assert missing == []


def test_locks_name_no_address_of_an_index() -> None:
    for lock in ("requirements.txt", "requirements-chdb.txt"):
        assert "://" not in (ROOT / lock).read_text()
    npm = (ROOT / "web/package-lock.json").read_text()
    assert '"resolved": "http' not in npm
    cargo = (ROOT / "Cargo.lock").read_text()
    assert set(re.findall(r'source = "(.+)"', cargo)) <= {
        "registry+https://github.com/rust-lang/crates.io-index"
    }


def test_the_generated_namespace_has_no_package_file() -> None:
    assert list((ROOT / "proto/gen/python/odeon").rglob("__init__.py")) == []


def test_links_between_documents_lead_somewhere() -> None:
    broken = [
        f"{page.relative_to(ROOT)} → {target}"
        for page in tracked("*.md")
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text())
        if not (page.parent / target).exists()
    ]

    assert broken == []
