"""Every pool has a budget that keeps its pods with work from being evicted.

`kubectl drain` and autoscalers of nodes then wait until the operator has moved what is live
(`domain/moving.py`). A budget that is there is never written again; one that somebody changed is.
"""

import asyncio
from collections.abc import Collection
from typing import Protocol

from odeon_runtime.logs import logger

from odeon_operator.ports import Cluster, Lease, Outdated, PoolFacts, Refused, Unreachable

_log = logger(__name__)


class Budgets(Protocol):
    """The API server's disruption budgets of pools."""

    async def standing(self) -> Collection[str]:
        """Uids of the pools whose budget is there and says what it should.

        Raises:
            Unreachable: the API server does not answer.
            Refused: it does not let us.
        """
        ...

    async def apply(self, pool: PoolFacts) -> None:
        """Make the budget of a pool, or put it right.

        Raises:
            Outdated: its namespace is gone.
            Unreachable: try again.
            Refused: the API server does not accept it.
        """
        ...


class Guard:
    """Looks at all pools now and then.

    Args:
        every_s: a new pool is noticed within this time.
        resync_s: what stands is read this often.
    """

    def __init__(
        self, cluster: Cluster, budgets: Budgets, lease: Lease, *, every_s: float, resync_s: float
    ) -> None:
        self._cluster = cluster
        self._budgets = budgets
        self._lease = lease
        self._every_s = every_s
        self._looks = max(1, round(resync_s / every_s))
        self._guarded: set[str] = set()
        self._trouble = ""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            for turn in range(self._looks):
                try:
                    await self.look(afresh=turn == 0)
                    self._trouble = ""
                except (Outdated, Refused, Unreachable) as error:
                    self._complain(str(error))
                await asyncio.sleep(self._every_s)

    async def look(self, *, afresh: bool) -> None:
        """Give every pool without one a budget; raises as `Budgets`."""
        if afresh:
            self._guarded = set(await self._budgets.standing())
        for ref in self._cluster.pools():
            facts = self._cluster.pool(ref)
            if facts is None or facts.leaving or facts.uid in self._guarded:
                continue
            if not self._lease.held:
                return
            await self._budgets.apply(facts)
            self._guarded.add(facts.uid)
            _log.info("pool_guarded", pool=ref.name, namespace=ref.namespace)

    def _complain(self, error: str) -> None:
        """A trouble that lasts is told once."""
        if error != self._trouble:
            effect = "nodes may be drained under live work"
            _log.warning("pools_unguarded", error=error, effect=effect)
        self._trouble = error
