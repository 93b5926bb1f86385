"""Blocks of ports."""

import socket

import pytest
from odeon_cli.console import CliError
from odeon_cli.up.ports import block_of_ports, is_free

LOOPBACK = ["127.0.0.1"]


def test_any_free_block_lies_below_the_ephemeral_ports() -> None:
    base = block_of_ports(0, 20, LOOPBACK)

    assert 10_000 <= base <= 32_000 - 20
    assert all(is_free("127.0.0.1", port) for port in range(base, base + 20))


def test_a_taken_port_of_a_named_block_is_an_error_that_names_it() -> None:
    base = block_of_ports(0, 3, LOOPBACK)
    with socket.create_server(("127.0.0.1", base + 1)), pytest.raises(CliError) as refusal:
        block_of_ports(base, 3, LOOPBACK)

    assert str(base + 1) in refusal.value.message
    assert "--port-base" in refusal.value.hint


def test_a_udp_socket_takes_a_port_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))

        assert not is_free("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize("base", [-5, 65_530, 70_000])
def test_a_block_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(CliError):
        block_of_ports(base, 20, LOOPBACK)
