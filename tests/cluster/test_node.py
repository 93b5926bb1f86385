"""The real node that tests run pods on: it works, and nothing of it outlives its makers."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dns.message
import dns.query
import pytest
from dns.rdatatype import A
from odeon_testkit import wait
from odeon_testkit.kube import node_settings, pods
from odeon_testkit.kube.api import KubeApi
from odeon_testkit.kube.node import Node
from odeon_testkit.kube.sandbox import sandbox
from odeon_testkit.process_tree import processes

pytestmark = pytest.mark.node

CGROUPS = Path("/sys/fs/cgroup")
MAKE_A_SANDBOX = """
import time
from odeon_testkit.kube.sandbox import sandbox
with sandbox("10.99.0.2") as made:
    print(made.directory, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def api(kubernetes_node: Node) -> Iterator[KubeApi]:
    with kubernetes_node.plane.api() as client:
        yield client


def address_of(name: str) -> list[str]:
    """What the cluster's DNS answers; asked as a pod would, at the address of a Service."""
    question = dns.message.make_query(f"{name}.svc.cluster.local", A)
    answer = dns.query.udp(question, node_settings.DNS_ADDRESS, timeout=5)
    return [item.address for found in answer.answer for item in found]


def test_services_are_found_by_name_at_their_addresses(kubernetes_node: Node, api: KubeApi) -> None:
    service = api.get("/api/v1/namespaces/default/services/kubernetes")

    assert pods.unready(api, "kube-system") == []
    assert address_of("kubernetes.default") == [service["spec"]["clusterIP"]]
    assert address_of("nobody.default") == []


def test_the_log_of_a_pod_is_read_from_the_kubelet(kubernetes_node: Node, api: KubeApi) -> None:
    (coredns,) = pods.of(api, "kube-system")

    assert "CoreDNS-" in pods.log(api, coredns)


def test_a_killed_maker_leaves_nothing_that_the_next_does_not_remove() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes namespaces")
    with subprocess.Popen(
        [sys.executable, "-c", MAKE_A_SANDBOX], stdout=subprocess.PIPE, text=True
    ) as maker:
        assert maker.stdout is not None
        directory = Path(maker.stdout.readline().strip())
        assert list(CGROUPS.glob(f"**/{directory.name}"))
        maker.kill()

    with sandbox(node_settings.NETWORK.host):
        assert not directory.exists()
        assert not list(CGROUPS.glob(f"**/{directory.name}"))
        asyncio.run(wait.until(partial(nothing_runs_in, directory)))


async def nothing_runs_in(directory: Path) -> bool:
    return not any(str(directory) in each.command for each in processes().values())
