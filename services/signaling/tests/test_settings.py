"""What a node is told by its environment."""

import pytest
from odeon_signaling.settings import SignalingSettings


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> SignalingSettings:
    for name, value in values.items():
        monkeypatch.setenv(f"ODEON_SIGNALING_{name}", value)
    return SignalingSettings()


def test_a_node_of_a_shared_template_finds_its_own_addresses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nodes = '{"sfu-0": "192.0.2.7:30780", "sfu-1": "192.0.2.8:30781, 10.1.2.3:7882"}'

    found = settings(monkeypatch, NODE="sfu-1", ADVERTISE="203.0.113.1", ADVERTISE_NODES=nodes)

    assert found.advertised == ("192.0.2.8:30781", "10.1.2.3:7882")


def test_a_node_that_is_not_named_advertises_what_all_do(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = '{"sfu-0": "192.0.2.7:30780"}'

    found = settings(monkeypatch, NODE="sfu-9", ADVERTISE="203.0.113.1", ADVERTISE_NODES=nodes)

    assert found.advertised == ("203.0.113.1",)
