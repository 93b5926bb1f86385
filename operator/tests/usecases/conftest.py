import pytest
from odeon_testkit.fleet_world import World


@pytest.fixture
def world() -> World:
    return World()
