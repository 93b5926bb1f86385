"""The control plane that tests run against is a real one, and leaves nothing behind."""

import json
import os
from pathlib import Path

import pytest
from odeon_testkit import wait
from odeon_testkit.kube.api import KubeApi, Object, Refused
from odeon_testkit.kube.control_plane import ControlPlane, control_plane
from odeon_testkit.process_tree import tree

CONFIG_MAP = {"apiVersion": "v1", "kind": "ConfigMap"}


def config_map(namespace: str, name: str, **metadata: object) -> Object:
    return {**CONFIG_MAP, "metadata": {"name": name, "namespace": namespace, **metadata}}


async def test_what_an_owner_leaves_is_collected(kubernetes: ControlPlane, namespace: str) -> None:
    with kubernetes.api() as api:
        owner = api.create(config_map(namespace, "owner"))
        reference = {**CONFIG_MAP, "name": "owner", "uid": owner["metadata"]["uid"]}
        owned = api.create(config_map(namespace, "owned", ownerReferences=[reference]))

        api.delete(owner)

        await wait.until(lambda: gone(api, owned))


async def gone(api: KubeApi, what: Object) -> bool:
    return not api.exists(api.path_of(what))


def test_a_pod_is_created_but_runs_nowhere(kubernetes: ControlPlane, namespace: str) -> None:
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "idle", "namespace": namespace},
        "spec": {"containers": [{"name": "main", "image": "example.invalid/none"}]},
    }
    with kubernetes.api() as api:
        created = api.create(pod)

    assert created["status"]["phase"] == "Pending"


def test_writes_are_told_with_who_asked_for_them(kubernetes: ControlPlane, namespace: str) -> None:
    with kubernetes.api() as api:
        api.create(config_map(namespace, "watched"))

    lines = [json.loads(line) for line in kubernetes.audit_log.read_text().splitlines()]
    ours = [e for e in lines if e["objectRef"].get("name") == "watched"]
    assert [(e["verb"], e["user"]["username"]) for e in ours] == [("create", "admin")]
    assert {e["verb"] for e in lines} & {"get", "list", "watch"} == set()


def test_an_unknown_token_is_refused(kubernetes: ControlPlane) -> None:
    with kubernetes.api("wrong") as api, pytest.raises(Refused) as refusal:
        api.get("/api/v1/namespaces")

    assert refusal.value.code == 401


def test_a_server_that_comes_back_has_what_it_had_and_afterwards_nothing_is_left() -> None:
    with control_plane(crds=None) as plane:
        programs = (plane.etcd, plane.api_server, plane.controller_manager)
        namespace = plane.new_namespace()
        with plane.api() as api:
            api.create(config_map(namespace, "kept"))
        plane.api_server.stop()
        with plane.api() as api:
            assert not api.ready

        plane.api_server.start()
        plane.wait_until_ready()

        with plane.api() as api:
            assert api.exists(api.path_of(config_map(namespace, "kept")))
        pids = [program.pid for program in programs]
        assert set(pids) <= set(tree(os.getpid()))

    assert set(pids) & set(tree(os.getpid())) == set()
    assert not Path(plane.directory).exists()
