"""The examples: each runs as its page says, as a process of its own, and does what it promises."""

import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from odeon_cli.env import variables
from odeon_cli.state import Running
from odeon_testkit.chromium import chromium
from odeon_testkit.documents import reader_env, run_page
from odeon_testkit.product import Product
from odeon_testkit.tenant import Api
from odeon_testkit.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
PLAYED = "() => document.querySelector('video')?.currentTime ?? 0"
STATE = """() => {
  const video = document.querySelector('video');
  return { player: document.querySelector('odeon-player')?.getAttribute('state'),
           time: video?.currentTime, ready: video?.readyState, paused: video?.paused };
}"""
STEP_S = 30


@pytest.fixture
def env(product: Product) -> dict[str, str]:
    """What a shell has after `eval "$(odeon env)"`."""
    running = Running.parse(json.dumps(product.ready))
    return {**reader_env(product.data_dir / "home"), **variables(running)}


async def follow_page(name: str, product: Product, folder: Path) -> str:
    """Do what an example's README says; what its blocks printed."""
    return await asyncio.to_thread(
        run_page,
        EXAMPLES / name / "README.md",
        root=ROOT,
        folder=folder,
        env=reader_env(product.data_dir / "home"),
    )


async def run(env: dict[str, str], *command: str | Path) -> tuple[int | None, str]:
    """Exit code and standard error of a program."""
    process = await asyncio.create_subprocess_exec(
        *map(str, command),
        env=env,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, complained = await process.communicate()
    return process.returncode, complained.decode()


async def test_an_event_is_run_from_python_by_json_and_by_grpc(
    product: Product, api: Api, tmp_path: Path
) -> None:
    said = await follow_page("create_event", product, tmp_path)

    states = re.findall(r"^(events/\S+): STATE_(\w+)$", said, re.MULTILINE)
    by_json, by_grpc = states[0][0], states[-1][0]
    assert by_json != by_grpc
    assert states == [
        (event, state) for event in (by_json, by_grpc) for state in ("SCHEDULED", "LIVE", "ENDED")
    ]
    assert f"whipUrl: {product['gateway']}/whip/{by_json.removeprefix('events/')}" in said
    assert f"whip_url: {product['gateway']}/whip/{by_grpc.removeprefix('events/')}" in said
    for name in (by_json, by_grpc):
        found = await api.call("room.v1.RoomService/GetEvent", name=name)
        assert (found["event"]["title"], found["event"]["state"]) == (
            "Product launch",
            "STATE_ENDED",
        )


async def test_an_event_is_run_from_a_shell(product: Product, api: Api, tmp_path: Path) -> None:
    said = await follow_page("shell", product, tmp_path)

    assert "#EXT-X-STREAM-INF:" in said, "the demo event's playlist"
    session = re.search(r"^session: (\S+), until ", said, re.MULTILINE)
    playlist = re.search(r"^playlist: (\S+)$", said, re.MULTILINE)
    ended = re.search(r"^(events/\S+): STATE_ENDED$", said, re.MULTILINE)
    assert session and playlist and ended
    found = await api.call("room.v1.RoomService/GetEvent", name=ended[1])
    assert found["event"]["state"] == "STATE_ENDED"
    # The token is one: without it the edge refuses, with it there is merely nothing to see.
    async with httpx.AsyncClient() as http:
        assert (await http.get(playlist[1])).status_code == 404
        refused = await http.get(re.sub(r"/t/[^/]+", "/t/x", playlist[1]))
    assert refused.status_code == 401


async def test_encoders_go_live_with_the_commands_of_their_page(
    product: Product, tmp_path: Path
) -> None:
    said = await follow_page("go_live", product, tmp_path)

    # 2 s at 15 pictures a second.
    assert "sent 30 pictures" in said
    assert f"server: {product['gateway']}/whip/" in said


async def test_figures_follow_a_viewer_who_comes(product: Product, env: dict[str, str]) -> None:
    follower = await asyncio.create_subprocess_exec(
        *(sys.executable, EXAMPLES / "event_stats/follow.py", product["event"], "--json"),
        env=env,
        stdout=asyncio.subprocess.PIPE,
    )
    assert follower.stdout is not None
    try:
        before = json.loads(await asyncio.wait_for(follower.stdout.readline(), STEP_S))
        async with httpx.AsyncClient() as viewer:
            (await viewer.get(product["playlist_url"])).raise_for_status()
        async with asyncio.timeout(STEP_S):
            async for line in follower.stdout:
                after = json.loads(line)
                if after["egress_bytes"] > before["egress_bytes"]:
                    break
    finally:
        follower.terminate()
        await follower.wait()

    assert after["concurrent_viewers"] >= 1
    assert after["as_of"] > before["as_of"]


async def test_refusals_are_one_line_with_their_reason(env: dict[str, str]) -> None:
    wrong_key = {**env, "ODEON_API_KEY": "odk_" + "0" * 40}
    commands: list[tuple[str | Path, ...]] = [
        (sys.executable, EXAMPLES / "create_event/over_json.py", "x"),
        (sys.executable, EXAMPLES / "create_event/over_grpc.py", "x"),
        (EXAMPLES / "shell/event.sh",),
    ]

    outcomes = await asyncio.gather(*(run(wrong_key, *command) for command in commands))

    for code, complained in outcomes:
        assert code == 1
        assert re.search(r"^error: .*\((API_KEY|TOKEN)_INVALID\)$", complained, re.MULTILINE)
        assert "Traceback" not in complained


@pytest.mark.parametrize(
    "program", ["create_event/over_json.py", "create_event/over_grpc.py", "go_live/whip.py",
                "event_stats/follow.py", "own_backend/server.py"],
)  # fmt: skip
async def test_a_program_that_is_not_told_where_to_go_says_what_to_set(program: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("ODEON_")}
    argument = () if "server" in program else ("x",)

    code, complained = await run(env, sys.executable, EXAMPLES / program, *argument)

    assert code == 1
    assert re.match(r"^error: 'ODEON_\w+' is not set; .+\n$", complained)


async def plays(page: Any) -> None:
    """Return when the page's player has come two seconds further."""
    start = await page.evaluate(PLAYED)

    async def further() -> bool:
        return bool(await page.evaluate(PLAYED) > start + 2)

    try:
        await until(further, timeout_s=STEP_S)
    except TimeoutError as late:
        late.add_note(f"began at {start}; {await page.evaluate(STATE)}")
        raise


@pytest.mark.browser
async def test_a_page_of_ones_own_plays_the_event(product: Product, tmp_path: Path) -> None:
    said = await follow_page("embed_player", product, tmp_path)
    address = said.strip().replace(str(tmp_path), str(ROOT))
    async with chromium() as browser:
        page = await browser.new_page()
        await page.goto(address)

        await page.wait_for_selector('odeon-player[state="playing"]')
        await plays(page)

        # A token that nobody signed is told apart from an event that has not begun.
        await page.evaluate(
            "() => { const p = document.querySelector('odeon-player');"
            " p.setAttribute('src', p.getAttribute('src').replace(/\\/t\\/[^/]+/, '/t/x')) }"
        )
        await page.wait_for_selector('odeon-player[state="refused"]')


@asynccontextmanager
async def backend(env: dict[str, str]) -> AsyncIterator[str]:
    """The example's site; its address."""
    command = [sys.executable, str(EXAMPLES / "own_backend/server.py"), "--port", "0"]
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stderr=asyncio.subprocess.PIPE
    )
    assert process.stderr is not None
    try:
        async with asyncio.timeout(STEP_S):
            async for line in process.stderr:
                if found := re.search(rb"running on (http://[\d.:]+)", line):
                    break
        assert found, "the server ended"
        yield found[1].decode()
    finally:
        process.terminate()
        await process.communicate()


@pytest.mark.browser
async def test_a_site_lets_its_own_users_watch_until_they_sign_out(env: dict[str, str]) -> None:
    async with backend(env) as site, chromium() as browser:
        page = await browser.new_page()
        await page.goto(site)
        says = page.get_by_role("status")

        await page.get_by_text("I am Mallory").click()
        await says.filter(has_text="we do not know you").wait_for()

        await page.get_by_text("I am Bob").click()
        await says.filter(has_text="Welcome, Bob: you are a viewer.").wait_for()
        await plays(page)

        # The page asks for a fresh entry when its token is void, and is told why it gets none.
        await page.get_by_text("Sign out").click()
        await says.filter(has_text="sign in first").wait_for()


async def test_a_sites_guest_gets_a_token_for_the_stage_and_a_viewer_does_not(
    env: dict[str, str],
) -> None:
    async with backend(env) as site, httpx.AsyncClient(base_url=site) as http:
        entries = {}
        for user in ("ada", "bob"):
            (await http.post("/api/sign-in", json={"user": user})).raise_for_status()
            entries[user] = (await http.post("/api/enter")).raise_for_status().json()

    assert (entries["ada"]["role"], entries["ada"]["stageUrl"]) == ("guest", "/stage")
    assert entries["ada"]["joinToken"]
    assert entries["bob"]["role"] == "viewer"
    assert "joinToken" not in entries["bob"]
