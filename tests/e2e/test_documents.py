"""What documents tell people to type works: their shell blocks run, page by page."""

import asyncio
import subprocess
from pathlib import Path

import pytest
from odeon_cli.up.plan import port_names
from odeon_cli.up.ports import DEFAULT_BASE
from odeon_testkit.documents import blocks, reader_env, run_page
from odeon_testkit.product import Product

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
TESTED_WITH_THEIR_EXAMPLE = {
    f"examples/{name}/README.md" for name in ("create_event", "shell", "go_live", "embed_player")
}


def pages() -> list[str]:
    """Pages with blocks to run, but for those whose output test_examples.py looks at."""
    listed = subprocess.run(
        ["git", "ls-files", "--", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if name not in TESTED_WITH_THEIR_EXAMPLE
        and any(block.runs for block in blocks(ROOT / name))
    ]


def private(product: Product, name: str) -> str:
    """Address of a port that `odeon up` does not print."""
    base = int(product["gateway"].rpartition(":")[2])
    return f"127.0.0.1:{base + port_names(edges=1, transcoders=1).index(name)}"


@pytest.mark.parametrize("name", pages())
async def test_the_commands_of_a_page_work(name: str, product: Product, tmp_path: Path) -> None:
    env = reader_env(product.data_dir / "home")
    # Documents name the ports of `odeon up` by default; tests run on others.
    env["ODEON_EDGE_ADMIN_LISTEN"] = private(product, "edge-admin-1")

    await asyncio.to_thread(run_page, ROOT / name, root=ROOT, folder=tmp_path, env=env)


def test_documents_name_the_ports_of_odeon_up() -> None:
    ports = {name: DEFAULT_BASE + at for at, name in enumerate(port_names(1, 1))}

    recorder = (ROOT / "docs/operations/recorder.md").read_text("utf-8")
    assert f"ODEON_RECORDER_HTTP:-http://127.0.0.1:{ports['recorder-http']}}}" in recorder
    edge = (ROOT / "docs/operations/edge.md").read_text("utf-8")
    assert f"ODEON_EDGE_ADMIN_LISTEN:-127.0.0.1:{ports['edge-admin-1']}}}" in edge
