"""Fixtures: a node on loopback and clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from odeon_media import Client, SfuNode
from odeon_testkit.rtc import Events


@pytest.fixture
def node() -> Iterator[SfuNode]:
    """A node on a free port."""
    node = SfuNode()
    yield node
    node.shutdown()


@pytest.fixture
def events(node: SfuNode) -> Events:
    """The node's events."""
    return Events(node)


@pytest.fixture
def new_client() -> Iterator[Callable[..., Client]]:
    """Makes clients that are closed at the end."""
    clients: list[Client] = []

    def make(**options: float) -> Client:
        client = Client(**options)  # type: ignore[arg-type]
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()
