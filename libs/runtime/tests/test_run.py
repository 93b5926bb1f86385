"""The life of a service process: metrics while it runs, one signal to stop, two to be gone."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

SERVICE = """
import asyncio
from contextlib import asynccontextmanager

from odeon_runtime.bus import Bus
from odeon_runtime.run import run
from odeon_runtime.settings import ServiceSettings


@asynccontextmanager
async def start():
    async with Bus("nats://127.0.0.1:9", name="test"):
        yield {"grpc": "nowhere"}
        STOP


run("test", ServiceSettings(metrics_port=0), start)
"""
AT_ONCE = "pass"
NEVER = "await asyncio.Event().wait()"


@asynccontextmanager
async def service(stop: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, str]]]:
    """A running service that stops in this way, and its ready line."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE.replace("STOP", stop),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 60)
        yield process, json.loads(line)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def until_logged(process: asyncio.subprocess.Process, event: bytes) -> None:
    assert process.stderr is not None
    async with asyncio.timeout(20):
        while event not in await process.stderr.readline():
            assert not process.stderr.at_eof()


async def test_a_service_shows_its_metrics_where_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ODEON_METRICS_HOST", "127.0.0.2")
    async with service(AT_ONCE) as (_, ready), httpx.AsyncClient() as client:
        answer = await client.get(f"http://{ready['metrics']}/metrics", timeout=20)

    assert ready["metrics"].startswith("127.0.0.2:")
    assert answer.status_code == 200


async def test_a_service_shows_its_metrics_on_a_port_of_its_own() -> None:
    async with service(AT_ONCE) as (_, ready), httpx.AsyncClient() as client:
        text = (await client.get(f"http://{ready['metrics']}/metrics", timeout=20)).text

    assert (ready["event"], ready["service"]) == ("ready", "test")
    assert "process_cpu_seconds_total" in text
    assert "odeon_bus_outbox_facts 0.0" in text
    assert "odeon_bus_dropped_facts_total 0.0" in text
    assert "odeon_bus_connected 0.0" in text


async def test_the_first_signal_stops_it_in_peace() -> None:
    async with service(AT_ONCE) as (process, _):
        process.send_signal(signal.SIGTERM)

        assert await asyncio.wait_for(process.wait(), 20) == 0


async def test_a_second_signal_ends_a_stop_that_takes_too_long() -> None:
    async with service(NEVER) as (process, _):
        process.send_signal(signal.SIGTERM)
        await until_logged(process, b"stopping")
        process.send_signal(signal.SIGINT)

        assert await asyncio.wait_for(process.wait(), 20) == 130
