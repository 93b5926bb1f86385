"""Pytest fixtures, for all tests: one control plane a run."""

import os
from collections.abc import Iterator

import pytest

from odeon_testkit.kube.control_plane import ControlPlane, control_plane
from odeon_testkit.kube.programs import CONTROL_PLANE


@pytest.fixture(scope="session")
def kubernetes() -> Iterator[ControlPlane]:
    """A control plane with Odeon's resources. Tests share it: each makes a namespace of its own."""
    if not CONTROL_PLANE.built:
        # Not here: a build takes minutes, and a test has two.
        advice = "no Kubernetes to test with: scripts/setup.sh test builds it, with Go"
        if os.environ.get("CI") == "true":
            pytest.fail(advice, pytrace=False)
        pytest.skip(advice)
    with control_plane() as plane:
        yield plane


@pytest.fixture
def namespace(kubernetes: ControlPlane) -> str:
    """An empty namespace."""
    return kubernetes.new_namespace()
