"""Which address a pod has for the world, once its own load balancer has one."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address


@dataclass(frozen=True, slots=True)
class Entry:
    """One way in that a load balancer offers: an IP address, or a host name and no address."""

    ip: str = ""
    hostname: str = ""


def public_addresses(entries: Sequence[Entry], port: int) -> str:
    """`ip:port` of each, separated by commas; empty while there is none.

    Names are left out: an ICE candidate wants an address, and what a name means may change.
    """
    found = [_with_port(entry.ip, port) for entry in entries if _is_address(entry.ip)]
    return ",".join(sorted(found))


def _is_address(text: str) -> bool:
    try:
        return not ip_address(text).is_unspecified
    except ValueError:
        return False


def _with_port(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"
