"""What a node is told by its environment."""

import asyncio
from pathlib import Path

import pytest
from odeon_signaling.advertised import addresses
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


async def test_a_node_waits_for_an_address_that_is_still_to_be_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "public-address"
    found = settings(monkeypatch, ADVERTISE="10.1.2.3:7882", ADVERTISE_FILE=str(file))
    waiting = asyncio.create_task(addresses(found))

    file.write_text("")
    done, _ = await asyncio.wait([waiting], timeout=0.7)
    assert not done
    file.write_text("203.0.113.7:7882,198.51.100.2:7882\n")

    async with asyncio.timeout(10):
        assert await waiting == ("203.0.113.7:7882", "198.51.100.2:7882", "10.1.2.3:7882")


async def test_without_such_a_file_nothing_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await addresses(settings(monkeypatch, ADVERTISE="203.0.113.1")) == ("203.0.113.1",)
