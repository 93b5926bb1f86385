"""The real node that tests run pods on: it works, and nothing of it outlives its makers."""

import asyncio
import os
import socket
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
from odeon_testkit.images.build import Builder
from odeon_testkit.images.cache import store
from odeon_testkit.kube import node_settings, pods
from odeon_testkit.kube.api import KubeApi, Object
from odeon_testkit.kube.control_plane import listens
from odeon_testkit.kube.node import Node
from odeon_testkit.kube.sandbox import sandbox
from odeon_testkit.process_tree import processes

pytestmark = [pytest.mark.node, pytest.mark.timeout(180)]

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


def restricted(api: KubeApi, node: Node, name: str) -> None:
    """A namespace that admits only pods without any privilege."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    api.create(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
    )
    account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
    node.wait_for(lambda: api.exists(account))


def pod_of(namespace: str, containers: dict[str, str]) -> Object:
    """A pod without privileges whose files cannot be written; images by names of containers."""
    mounts = [{"name": "data", "mountPath": path} for path in ("/tmp", "/var/lib/odeon")]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "tried", "namespace": namespace, "labels": {"app": "tried"}},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": name,
                    "image": image,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                    "volumeMounts": mounts,
                }
                for name, image in containers.items()
            ],
            "volumes": [{"name": "data", "emptyDir": {}}],
        },
    }


# What each says when it is told nothing at all.
FIRST_WORDS = {
    "auth": '"event": "ready"',
    "recorder": '"event": "ready"',
    "room": "trust_stream_lost",
    "signaling": "trust_stream_lost",
    "analytics": "trust_stream_lost",
    "gateway": "trust_stream_lost",
    "transcoder": "no address of room is set",
    "edge": "ODEON_EDGE_AUTH or ODEON_EDGE_JWKS is needed",
    "operator": "there is neither a service account nor a kubeconfig",
    "cli": "Run a whole deployment on this machine",
}


def test_every_image_runs_without_privileges_and_without_writing_to_its_files(
    kubernetes_node: Node, api: KubeApi
) -> None:
    restricted(api, kubernetes_node, "images")
    images = {name: f"odeon/{name}:0.1.0" for name in FIRST_WORDS}
    pod = api.create(pod_of("images", images))

    def silent() -> list[str]:
        return [n for n, words in FIRST_WORDS.items() if words not in pods.log(api, pod, n)]

    try:
        kubernetes_node.wait_for(lambda: not silent(), timeout_s=90)
    except TimeoutError:
        pytest.fail("\n".join(f"{name}: {pods.log(api, pod, name)}" for name in silent()))
    api.delete(pod)
    assert set(Builder(store()).services) == set(images)


def test_a_pod_serves_at_the_name_of_its_service(kubernetes_node: Node, api: KubeApi) -> None:
    restricted(api, kubernetes_node, "serving")
    api.create(pod_of("serving", {"nats": "nats:2.15-alpine"}))
    api.create(
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "nats", "namespace": "serving"},
            "spec": {"selector": {"app": "tried"}, "ports": [{"port": 4222}]},
        }
    )
    kubernetes_node.wait_for(lambda: address_of("nats.serving") != [])
    (address,) = address_of("nats.serving")
    kubernetes_node.wait_for(lambda: listens(address, 4222))

    with socket.create_connection((address, 4222), timeout=5) as connection:
        assert connection.recv(64).startswith(b'INFO {"server_id"')


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
