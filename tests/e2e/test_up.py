"""`odeon up`: everything in it may die, it may die itself, and nothing is left behind."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from av.video.frame import VideoFrame
from odeon_testkit.process_tree import family, processes, tree
from odeon_testkit.product import Product, running_product
from odeon_testkit.tenant import until_playing
from odeon_testkit.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SMALL = ("--demo-size", "320x180", "--demo-frame-rate", "15")
SUPERVISED = (
    "prober",
    "nats", "auth", "room", "recorder", "signaling", "transcoder", "gateway", "edge", "analytics",
    "publisher",
)  # fmt: skip


def alive(pids: Iterable[int]) -> list[str]:
    now = processes()
    return [now[pid].command for pid in pids if pid in now and now[pid].alive]


def open_ports(ready: dict[str, Any]) -> list[str]:
    """Ports of the deployment's block that somebody still holds."""
    base = int(ready["gateway"].rpartition(":")[2])
    held = []
    for port in range(base, base + 14):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with closing(socket.socket(socket.AF_INET, kind)) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    held.append(f"{port}/{kind.name}")
    return held


def child_named(product: Product, name: str) -> int:
    marks = {
        "nats": "nats-server",
        "edge": "odeon-edge",
        "publisher": "odeon_cli publish",
        "prober": "-m odeon_signaling.prober ",
    }
    mark = marks.get(name, f"-m odeon_{name} ")
    now = processes()
    (pid,) = [p.pid for p in now.values() if p.parent == product.process.pid and mark in p.command]
    return pid


LOGS = {"transcoder": "transcoder-1", "edge": "edge-1"}


def times_ready(product: Product, name: str) -> int:
    """How often a process said that it is ready."""
    text = (product.data_dir / "logs" / f"{LOGS.get(name, name)}.log").read_text()
    words = (
        ("Server is ready",)
        if name == "nats"
        else ('"event": "ready", "service"', '"event":"ready","id"')
    )
    return sum(text.count(word) for word in words)


async def newest_parts(playlist_url: str) -> list[str]:
    """The newest part of every rendition; a busy machine stops the larger ones."""
    async with httpx.AsyncClient(timeout=5) as http:
        main = (await http.get(playlist_url)).raise_for_status().text
        names = [line for line in main.splitlines() if line and not line.startswith("#")]
        urls = [playlist_url.replace("main.m3u8", name) for name in names]
        medias = [(await http.get(url)).raise_for_status().text for url in urls]
    parts = [
        [line for line in media.splitlines() if line.startswith("#EXT-X-PART:")] for media in medias
    ]
    return [lines[-1] for lines in parts if lines]


async def plays_on(product: Product) -> None:
    """New parts come through the edge."""
    before: list[str] = []
    seen = 0

    async def advanced() -> bool:
        nonlocal before, seen
        try:
            newest = await newest_parts(product["playlist_url"])
        except httpx.HTTPError:
            return False
        seen += newest != before
        before = newest
        return bool(newest) and seen >= 4

    await until(advanced, timeout_s=45)


@asynccontextmanager
async def product_with_demo() -> AsyncIterator[Product]:
    async with running_product(*SMALL) as product:
        try:
            yield product
        except BaseException:
            print(product.logs(), file=sys.stderr)
            raise


async def test_each_process_may_be_killed_and_the_event_plays_on() -> None:
    async with product_with_demo() as product:
        for name in SUPERVISED:
            victim = child_named(product, name)
            everybody = tree(victim)
            starts = times_ready(product, name)
            os.kill(victim, signal.SIGKILL)

            async def back(name: str = name, starts: int = starts) -> bool:
                return times_ready(product, name) > starts

            await until(lambda pids=everybody: none_alive(pids), timeout_s=5)  # type: ignore[misc]
            await until(back, timeout_s=60)
            await plays_on(product)
            assert product.process.returncode is None


async def nothing_left(pids: Iterable[int], product: Product) -> bool:
    """No process lives, and no port is held by the last thread of a dead one."""
    return not alive(pids) and not open_ports(product.ready)


async def none_alive(pids: Iterable[int]) -> bool:
    return not alive(pids)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_nothing_is_left_of_a_deployment_that_ends(number: signal.Signals) -> None:
    async with product_with_demo() as product:
        everybody = tree(product.process.pid)[1:]
        assert len(everybody) >= len(SUPERVISED)

        product.process.send_signal(number)
        await product.process.wait()

        await until(lambda: nothing_left(everybody, product), timeout_s=5)
        if number is not signal.SIGKILL:
            assert not (product.data_dir / "state.json").exists()


async def test_a_second_signal_ends_everything_at_once() -> None:
    async with running_product("--no-demo") as product:
        everybody = tree(product.process.pid)[1:]

        product.process.send_signal(signal.SIGINT)
        await until(lambda: is_stopping(product), timeout_s=20)
        product.process.send_signal(signal.SIGINT)
        await asyncio.wait_for(product.process.wait(), 5)
        assert product.process.returncode == 130

        await until(lambda: nothing_left(everybody, product), timeout_s=5)


async def is_stopping(product: Product) -> bool:
    """Whether the first process to stop has gone."""
    try:
        child_named(product, "prober")
    except ValueError:
        return True
    return False


async def test_without_a_demo_there_is_an_empty_deployment() -> None:
    async with running_product("--no-demo") as product:
        assert product["event"] == ""
        assert product.ready["api_key"].startswith("odk_")
        async with httpx.AsyncClient() as http:
            health = await http.get(f"{product['gateway']}/healthz")
        assert health.status_code == 200


async def test_with_tls_gateway_and_edges_speak_https_by_a_local_authority() -> None:
    async with running_product("--tls", "--edges", "2", *SMALL) as product:
        assert product["gateway"].startswith("https://")
        assert [url.startswith("https://") for url in product.ready["edges"]] == [True, True]
        watched = await odeon(product, "watch", "--seconds", "4", "--json")

    assert json.loads(watched.splitlines()[-1])["frames"] > 30


async def test_a_data_directory_keeps_keys_events_and_recordings(tmp_path: Path) -> None:
    async with running_product(*SMALL, "--transcoders", "2", keep_in=tmp_path) as first:
        commands = [process.command for process in family(first.process.pid)]
        assert sum("-m odeon_transcoder " in command for command in commands) == 2
        await until_playing(first["playlist_url"], segments=3)

    async with running_product("--no-demo", keep_in=tmp_path) as again:
        assert again["api_key"] == first["api_key"]
        (event,) = json.loads(await odeon(again, "events", "list", "--json"))["events"]
        token = json.loads(await odeon(again, "token", "playback", first["event"], "--json"))
        watched = await odeon(again, "watch", token["playlist_url"], "--seconds", "2", "--json")

    assert (event["name"], event["state"]) == ("events/demo", "STATE_ENDED")
    assert json.loads(watched.splitlines()[-1])["frames"] > 15


async def test_ctrl_c_takes_the_temporary_directory_away_and_all_that_was_said_is_one_line(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "odeon_cli", "up", "--json", "--no-open", "--port-base", "0"),
        *SMALL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "ODEON_HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)},
    )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), 90)
        ready = json.loads(line)
        data_dir = Path(ready["data_dir"])
        assert data_dir.parent == tmp_path

        process.send_signal(signal.SIGINT)
        more, _ = await asyncio.wait_for(process.communicate(), 45)
    finally:
        if process.returncode is None:
            process.kill()  # Its children go with it.

    assert more == b""
    assert process.returncode == 0
    assert data_dir.name not in names_in(tmp_path)
    assert set(ready) == documented_keys()
    assert [key for key in ready if not ready[key] and key != "ca_file"] == []


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def documented_keys() -> set[str]:
    """What docs/operations/cli.md says is in the ready line."""
    text = (Path(__file__).parents[2] / "docs" / "operations" / "cli.md").read_text()
    _, _, after = text.partition("The ready line has ")
    return set(re.findall(r"`(\w+)`", after.partition("\n\n")[0]))


async def test_the_other_commands_find_the_running_deployment(tmp_path: Path) -> None:
    film = make_film(tmp_path / "film.mp4")
    async with running_product(*SMALL) as product:
        listed = json.loads(await odeon(product, "events", "list", "--json"))
        made = json.loads(await odeon(product, "events", "create", "Gala", "--start", "--json"))
        token = json.loads(await odeon(product, "token", "publish", made["event"], "--json"))
        sent = await odeon(
            product,
            *("publish", "--test-card", "--size", "320x180", "--duration", "4", "--json"),
            *("--url", token["whip_url"], "--token", token["token"]),
        )
        # Into the demo event, beside the test card.
        filmed = await odeon(product, "publish", str(film), "--duration", "3", "--json")
        ended = json.loads(await odeon(product, "events", "end", made["event"], "--json"))
        whep = await odeon(product, "watch", "--whep", "--seconds", "4", "--json")

    assert [event["name"] for event in listed["events"]] == ["events/demo"]
    assert made["state"] == "LIVE"
    assert ended["state"] == "ENDED"
    assert json.loads(sent.splitlines()[-1])["video_frames"] > 60
    assert json.loads(filmed.splitlines()[-1])["video_frames"] > 30
    report = json.loads(whep.splitlines()[-1])
    assert (report["latency_source"], report["missing"]) == ("test card", 0)


def make_film(path: Path) -> Path:
    """Two seconds of H.264 that may pass as it is."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.codec_context.max_b_frames = 0
        stream.codec_context.gop_size = 15
        for index in range(30):
            frame = VideoFrame(320, 180, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 15)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


async def odeon(product: Product, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "odeon_cli", *arguments),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "ODEON_HOME": str(product.data_dir / "home")},
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()
    return output.decode()
