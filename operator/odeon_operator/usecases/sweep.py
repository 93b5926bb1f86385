"""Drain records of pods that are gone are deleted; they have no time limit of their own."""

from collections.abc import Callable, Collection

from odeon_runtime.logs import logger

from odeon_operator.ports import Cluster, Lease, Reports, Unreachable

_log = logger(__name__)


class Sweeper:
    """Deletes what two sweeps in a row found to belong to nobody.

    One is not enough: a picture of the cluster may lack a pod for a moment, and deleting the record
    of a pod that lives would take it back.

    Args:
        others: uids of pods of no pool that drain, too; None while they are not known.
    """

    def __init__(
        self,
        cluster: Cluster,
        reports: Reports,
        lease: Lease,
        *,
        others: Callable[[], Collection[str] | None],
    ) -> None:
        self._cluster = cluster
        self._reports = reports
        self._lease = lease
        self._others = others
        self._suspected: frozenset[str] = frozenset()

    async def sweep(self) -> int:
        """Sweep once, after the picture of the cluster was made whole. Returns how many went."""
        others = self._others()
        if not self._reports.current or others is None:
            return 0
        found = frozenset(self._reports.orphans({*self._cluster.alive(), *others}))
        gone, self._suspected = found & self._suspected, found
        swept = 0
        for uid in sorted(gone):
            if not self._lease.held:
                break
            try:
                await self._reports.forget(uid)
            except Unreachable as error:
                _log.warning("unreachable", error=str(error))
                break
            swept += 1
        return swept
