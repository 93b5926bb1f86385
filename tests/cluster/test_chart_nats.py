"""The chart's NATS: its configuration, with the real server."""

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import nats.errors
import nats.js.errors
import pytest
from odeon.events.v1 import events_pb2
from odeon_cli.up.ports import block_of_ports
from odeon_runtime import bookings, subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.kv import Bucket, BucketUnknown
from odeon_runtime.pools import DRAINS_BUCKET, REPORTS_BUCKET, REPORTS_TTL_S
from odeon_runtime.settings import ServiceSettings
from odeon_testkit import charts, wait
from odeon_testkit.nats import nats_program

PASSWORD = "s1e5"
"""Would be a number without its letter."""


class Servers:
    """As many servers of a profile as it has, on ports of their own."""

    def __init__(self, profile: str, folder: Path) -> None:
        (self._config,) = [
            one["data"]["nats.conf"]
            for one in charts.rendered(profile)
            if one["kind"] == "ConfigMap" and "nats.conf" in one.get("data", {})
        ]
        self.count = max(1, self._config.count("$ROUTE_"))
        self._folder = folder
        self._port = block_of_ports(0, 3 * self.count, ("127.0.0.1",))
        self.processes: list[subprocess.Popen[bytes]] = []

    def url(self, number: int) -> str:
        """Of one of them."""
        return f"nats://odeon:{PASSWORD}@127.0.0.1:{self._port + 3 * number}"

    def start(self, number: int) -> None:
        """Start one, as its pod would."""
        port, place = self._port + 3 * number, self._folder / str(number)
        place.mkdir(exist_ok=True)
        config = self._config.replace("http_port: 8222", f"http_port: {port + 1}")
        config = config.replace("port: 4222", f"host: 127.0.0.1, port: {port}")
        config = config.replace("port: 6222", f"host: 127.0.0.1, port: {port + 2}")
        (place / "nats.conf").write_text(config.replace("/data", str(place / "data")))
        routes = {
            f"ROUTE_{n}": f"nats-route://odeon:{PASSWORD}@127.0.0.1:{self._port + 3 * n + 2}"
            for n in range(self.count)
        }
        env = {**os.environ, **routes, "POD_NAME": f"odeon-nats-{number}"}
        self.processes.append(
            subprocess.Popen(
                [nats_program(), "-c", str(place / "nats.conf")],
                env={**env, "NATS_PASSWORD": PASSWORD},
            )
        )

    def stop(self) -> None:
        """Kill all."""
        for process in self.processes:
            process.kill()
            process.wait(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Servers]]:
    """Starts the servers of a profile."""
    made: list[Servers] = []

    def started(profile: str) -> Servers:
        servers = Servers(profile, tmp_path)
        made.append(servers)
        for number in range(servers.count):
            servers.start(number)
        return servers

    yield started
    for servers in made:
        servers.stop()


async def kept(bus: Bus) -> dict[str, int]:
    """Makes all that is kept; returns how often, by its name."""

    async def made() -> bool:
        # Several servers choose a leader first.
        try:
            await bus.ensure_streams()
            for bucket in (
                Bucket(bus, DRAINS_BUCKET),
                Bucket(bus, bookings.BUCKET),
                Bucket(bus, REPORTS_BUCKET, ttl_s=REPORTS_TTL_S, durable=False),
            ):
                await bucket.ensure()
        except (nats.js.errors.ServiceUnavailableError, BucketUnknown, TimeoutError):
            return False
        return True

    await wait.until(made, timeout_s=30)
    streams = await bus.client.jetstream().streams_info()
    return {str(one.config.name): int(one.config.num_replicas or 0) for one in streams}


@pytest.mark.parametrize("profile", ["default", "small"])
async def test_everything_that_is_kept_fits_into_what_nats_may_use(
    profile: str, start: Callable[[str], Servers]
) -> None:
    servers = start(profile)

    async with Bus(servers.url(0), name="test") as bus, asyncio.timeout(30):
        found = await kept(bus)

    assert len(found) == 6
    assert set(found.values()) == {1}


async def test_three_servers_keep_everything_and_go_on_without_one(
    start: Callable[[str], Servers],
) -> None:
    servers = start("ha")
    (env,) = [o for o in charts.rendered("ha") if o["metadata"]["name"] == "odeon-env"]
    settings = ServiceSettings.model_validate(
        {
            # One that is away and one that tells of the others, whose addresses have no password.
            "nats_url": f"nats://127.0.0.1:9,{servers.url(0)}",
            "nats_replicas": env["data"]["ODEON_NATS_REPLICAS"],
        }
    )

    async with Bus.of(settings, name="test") as bus, asyncio.timeout(60):
        found = await kept(bus)
        servers.processes[0].kill()

        async def stored() -> bool:
            fact = envelope("acme", session_revoked=events_pb2.SessionRevoked(session_id="s-1"))
            try:
                await bus.publish_now(subjects.fact("auth.session.revoked", "acme", "s-1"), fact)
            except (nats.errors.Error, TimeoutError):
                return False
            return True

        await wait.until(stored, timeout_s=30)

    assert servers.count == 3
    assert len(found) == 6
    assert set(found.values()) == {3}
