"""What pytest needs before it imports any test."""

import operator
from pathlib import Path

import pytest
from hypothesis import settings

# Tests are named by their path, so those of the operator would be operator.tests…: pytest then
# replaces the standard library's `operator` by a namespace, unless that one can have submodules.
if not hasattr(operator, "__path__"):
    operator.__path__ = [str(Path(__file__).parent / "operator")]  # type: ignore[attr-defined]

# One Kubernetes control plane for all tests that want one.
pytest_plugins = ("odeon_testkit.kube.fixtures",)

# A unit test asserts no time: on a busy machine one slow example is no failure.
settings.register_profile("odeon", deadline=None)
settings.load_profile("odeon")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--full`: what goes by chance is tried ten times as often, for as long as that takes."""
    parser.addoption(
        "--full", action="store_true", help="try what goes by chance ten times as often"
    )


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    """Whether `--full` was given."""
    return bool(request.config.getoption("--full"))
