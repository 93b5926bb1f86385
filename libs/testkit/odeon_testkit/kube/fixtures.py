"""Pytest fixtures, for all tests: one control plane a run, nodes, and both Helms."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from odeon_testkit.go_programs import GoPrograms
from odeon_testkit.images.build import Builder
from odeon_testkit.images.cache import store
from odeon_testkit.kube.control_plane import ControlPlane, control_plane
from odeon_testkit.kube.node import Images, Node, missing, node
from odeon_testkit.kube.programs import CONTROL_PLANE, HELMS, NODE


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[ControlPlane]:
    """A control plane with Odeon's resources. Tests share it: each makes a namespace of its own."""
    _need(CONTROL_PLANE)
    with control_plane() as plane:
        yield plane


@pytest.fixture(scope="module")
def bare_kubernetes() -> Iterator[ControlPlane]:
    """A control plane that knows nothing of Odeon, for the tests of one module."""
    _need(CONTROL_PLANE)
    with control_plane(crds=None) as plane:
        yield plane


@pytest.fixture(scope="module")
def running_node() -> Iterator[Node]:
    """A cluster of one real node with Odeon's images, for the tests of one module."""
    _need(CONTROL_PLANE)
    _need(NODE)
    if lacking := missing():
        _do_without(lacking)
    with node(crds=None, images=Images.of(Builder(store()))) as made:
        yield made


@pytest.fixture
def kubernetes_node(running_node: Node) -> Iterator[Node]:
    """That cluster; this test, and what it starts, is in the network of its node."""
    with running_node.sandbox.network():
        yield running_node


@pytest.fixture
def namespace(kubernetes: ControlPlane) -> str:
    """An empty namespace."""
    return kubernetes.new_namespace()


@pytest.fixture(params=HELMS, ids=lambda helm: helm.name)
def helm_program(request: pytest.FixtureRequest) -> Path:
    """Helm 3, then Helm 4."""
    programs: GoPrograms = request.param
    _need(programs)
    return programs.folder / "helm"


def _need(programs: GoPrograms) -> None:
    if programs.built:
        return
    # Not built here: that takes minutes, and a test has two.
    _do_without(f"{programs.name} is missing: scripts/setup.sh test builds it, with Go")


def _do_without(advice: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(advice, pytrace=False)
    pytest.skip(advice)
