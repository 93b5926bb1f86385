"""The operator as a process, against a real API server and a real NATS."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from odeon_testkit.kube.control_plane import ControlPlane, control_plane
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.operated import sim_kubelet
from odeon_testkit.operated_site import Site


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


@pytest.fixture
async def site(
    kubernetes: ControlPlane, namespace: str, nats: NatsServer, tmp_path: Path
) -> AsyncIterator[Site]:
    async with _site(kubernetes, namespace, nats, tmp_path) as made:
        yield made


@pytest.fixture
async def own_site(
    kubernetes: ControlPlane, nats: NatsServer, tmp_path: Path
) -> AsyncIterator[Site]:
    """A site whose control plane may be harmed: others need half a minute to get over it."""
    assert kubernetes.url  # Where there is no Kubernetes, it has skipped or failed by now.
    with control_plane() as plane:
        async with _site(plane, plane.new_namespace(), nats, tmp_path) as made:
            yield made


@asynccontextmanager
async def _site(
    plane: ControlPlane, namespace: str, nats: NatsServer, directory: Path
) -> AsyncIterator[Site]:
    async with sim_kubelet(plane, namespace, nats.url) as kubelet:
        with plane.api() as api:
            made = Site(plane, api, namespace, nats, kubelet, directory, [])
            try:
                yield made
            finally:
                for one in made.operators:
                    one.kill()
