"""The chart's NATS: its configuration, with the real server."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from odeon_cli.up.ports import block_of_ports
from odeon_runtime import bookings
from odeon_runtime.bus import Bus
from odeon_runtime.kv import Bucket
from odeon_runtime.pools import DRAINS_BUCKET, REPORTS_BUCKET, REPORTS_TTL_S
from odeon_testkit import charts
from odeon_testkit.nats import nats_program

PASSWORD = "s1e5"
"""Would be a number without its letter."""


@contextmanager
def running(config: str, folder: Path) -> Iterator[str]:
    """The server with this configuration, on ports of its own; yields its URL."""
    port = block_of_ports(0, 2, ("127.0.0.1",))
    file = folder / "nats.conf"
    file.write_text(
        config.replace("port: 4222", f"port: {port}")
        .replace("http_port: 8222", f"http_port: {port + 1}")
        .replace("/data", str(folder / "data"))
    )
    env = {**os.environ, "POD_NAME": "odeon-nats-0", "NATS_PASSWORD": PASSWORD}
    process = subprocess.Popen([nats_program(), "-c", str(file)], env=env)
    try:
        yield f"nats://odeon:{PASSWORD}@127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.parametrize("profile", ["default", "small"])
async def test_everything_that_is_kept_fits_into_what_nats_may_use(
    profile: str, tmp_path: Path
) -> None:
    (config,) = [
        one["data"]["nats.conf"]
        for one in charts.rendered(profile)
        if one["kind"] == "ConfigMap" and "nats.conf" in one.get("data", {})
    ]

    with running(config, tmp_path) as url:
        async with Bus(url, name="test") as bus, asyncio.timeout(30):
            await bus.ensure_streams()
            for bucket in (
                Bucket(bus, DRAINS_BUCKET),
                Bucket(bus, bookings.BUCKET),
                Bucket(bus, REPORTS_BUCKET, ttl_s=REPORTS_TTL_S, durable=False),
            ):
                await bucket.ensure()
            streams = await bus.client.jetstream().streams_info()

    assert len(streams) == 6
