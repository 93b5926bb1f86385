"""Ports for a deployment, allotted before anything starts, so that everything can start at once."""

import random
import socket
from collections.abc import Iterable, Iterator
from contextlib import closing

from odeon_cli.console import CliError

DEFAULT_BASE = 8400
_ATTEMPTS = 200
# Below the kernel's ephemeral range (32768 and up): no outgoing connection takes a port of ours
# while its owner is being restarted.
_RANDOM_RANGE = (10_000, 32_000)


def block_of_ports(base: int | None, size: int, hosts: Iterable[str]) -> int:
    """First port of a free block of `size` ports.

    Args:
        base: first port wanted; 0 for any; None for the default block, or any if that is taken.
        size: number of consecutive ports.
        hosts: addresses on which they must be free, both for TCP and UDP.

    Raises:
        CliError: the ports asked for are taken.
    """
    places = tuple(hosts)
    if base:
        taken = _first_taken(base, size, places)
        if taken is not None:
            raise CliError(
                f"port {taken} is taken by another program",
                hint="choose another block with --port-base, or --port-base 0 for any free ports",
            )
        return base
    for candidate in _candidates(size, with_default=base is None):
        if _first_taken(candidate, size, places) is None:
            return candidate
    raise CliError(f"no {size} free ports in a row were found", hint="name one with --port-base")


def _candidates(size: int, *, with_default: bool) -> Iterator[int]:
    if with_default:
        yield DEFAULT_BASE
    low, high = _RANDOM_RANGE
    for _ in range(_ATTEMPTS):
        yield random.randrange(low, high - size)


def _first_taken(base: int, size: int, hosts: tuple[str, ...]) -> int | None:
    if base + size > 65_536 or base < 1:
        raise CliError(f"ports {base} to {base + size - 1} are out of range", hint="use 1024-60000")
    for port in range(base, base + size):
        if not all(is_free(host, port) for host in hosts):
            return port
    return None


def is_free(host: str, port: int) -> bool:
    """Whether a server could bind this TCP and UDP port now."""
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with closing(socket.socket(family, kind)) as probe:
            if kind is socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                return False
    return True
