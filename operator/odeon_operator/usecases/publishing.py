"""Tells pods the address that a load balancer found for them, by an annotation on each.

A media node puts it into what it offers, and cannot ask the API server itself: only the operator
has the rights. It waits for its address as it starts, so a pod that comes back gets it again soon.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from odeon_runtime.logs import logger

from odeon_operator.ports import Lease, Outdated, Refused, Unreachable

_FAILURES = (Outdated, Refused, Unreachable)
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Published:
    """A pod, and its address for the world: `ip:port`, several separated by commas, or empty."""

    namespace: str
    pod: str
    address: str


class Addresses(Protocol):
    """Services that belong to single pods, and what those pods were told."""

    async def read(self) -> Sequence[Published]:
        """What is to be told; raises Unreachable, Refused."""
        ...

    async def present(self, of: Published) -> str | None:
        """What the pod was told; None when there is no such pod. Raises Unreachable, Refused."""
        ...

    async def publish(self, of: Published) -> None:
        """Tell it; raises Outdated, Unreachable, Refused."""
        ...


class Publishing:
    """Compares now and then."""

    def __init__(self, addresses: Addresses, lease: Lease, *, every_s: float) -> None:
        self._addresses = addresses
        self._lease = lease
        self._every_s = every_s

    async def run(self) -> None:
        """Look for ever. There is no event to wait for: Services are not watched, they are few."""
        while True:
            try:
                await self.look()
            except _FAILURES as error:
                _log.warning("addresses_not_published", error=str(error))
            await asyncio.sleep(self._every_s)

    async def look(self) -> None:
        """Tell every pod what it does not know yet. An address that went away is left as it was."""
        for one in await self._addresses.read():
            if not one.address or await self._addresses.present(one) in (None, one.address):
                continue
            if self._lease.held:
                await self._addresses.publish(one)
                _log.info("address_published", pod=one.pod, address=one.address)
