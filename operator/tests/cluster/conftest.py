"""The operator as a process, against a real API server and a real NATS."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from odeon_testkit.kube.control_plane import ControlPlane
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
    async with sim_kubelet(kubernetes, namespace, nats.url) as kubelet:
        with kubernetes.api() as api:
            made = Site(kubernetes, api, namespace, nats, kubelet, tmp_path, [])
            try:
                yield made
            finally:
                for one in made.operators:
                    one.kill()
