"""Brings pods of StatefulSets to their present template: `domain/statefulsets.py`, carried out.

Level-triggered as a look at a pool, and as safe to be cut between any two steps: a record is
written before anything relies on it, and read once more from NATS before a pod is deleted.
"""

import asyncio
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from odeon_runtime.logs import logger
from odeon_runtime.tasks import wait_for

from odeon_operator.domain.statefulsets import Do, Member, StatefulSet, Step, next_step
from odeon_operator.ports import Clock, Lease, Outdated, Refused, Reports, Unreachable
from odeon_operator.usecases import meters

ROLLOUT = "ROLLOUT"
STALE_AFTER = timedelta(seconds=15)
"""What reports live in NATS; an older one proves nothing."""
_FAILURES = (Outdated, Refused, Unreachable)
_METERED = {Do.ASK: "drain", Do.TAKE_BACK: "undrain", Do.DELETE: "delete"}
_log = logger(__name__)


class StatefulSets(Protocol):
    """The API server's StatefulSets that the operator replaces the pods of."""

    async def read(self, reports: Reports) -> Sequence[StatefulSet]:
        """All of them with their pods, as they stand now.

        Raises:
            Unreachable: the API server does not answer.
        """
        ...

    async def mark(self, of: StatefulSet, member: Member, *, draining: bool, now: datetime) -> None:
        """Write on exactly this pod, as it was seen, whether it drains; its revision changes.

        Raises:
            Outdated: it has changed since, or is gone.
            Unreachable: try again.
        """
        ...

    async def delete(self, of: StatefulSet, member: Member) -> None:
        """Delete exactly this pod as it was seen.

        Raises:
            Outdated: it has changed since, or is gone.
            Unreachable: try again.
        """
        ...


class Replacing:
    """Looks at all sets now and then, and soon after a pod of one said something new."""

    def __init__(
        self, sets: StatefulSets, reports: Reports, lease: Lease, *, clock: Clock, every_s: float
    ) -> None:
        self._sets = sets
        self._reports = reports
        self._lease = lease
        self._clock = clock
        self._every_s = every_s
        self._heard = asyncio.Event()
        self._said: dict[tuple[str, str], str] = {}
        self.members: Collection[str] | None = None
        """Uids of all pods of all sets; None until they were read."""

    def concerns(self, uid: str) -> None:
        """A pod said something new, of whatever set or pool."""
        if self.members is not None and uid in self.members:
            self._heard.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._heard.clear()
            await self.look()
            await wait_for(self._heard, self._every_s)

    async def look(self) -> None:
        """Carry out one step of each set."""
        try:
            sets = await self._sets.read(self._reports)
        except _FAILURES as error:
            _log.warning("statefulsets_not_read", error=str(error))
            return
        self.members = frozenset(member.uid for one in sets for member in one.members)
        if not self._reports.current:
            # What nobody could say is not known: no pod is asked anything, and none goes.
            return
        for one in sets:
            step = next_step(one, now=self._clock.now(), stale_after=STALE_AFTER)
            self._tell(one, step)
            if not self._lease.held:
                return
            try:
                await self._carry_out(one, step)
            except _FAILURES as error:
                _log.warning("rollout_step_failed", statefulset=one.name, error=str(error))

    async def _carry_out(self, of: StatefulSet, step: Step) -> None:
        member = step.member
        if member is None or step.do is Do.NOTHING:
            return
        now = self._clock.now()
        if step.do is Do.ASK:
            await self._reports.ask_drain(member.uid, asked=now, reason=ROLLOUT)
            await self._sets.mark(of, member, draining=True, now=now)
        elif step.do is Do.TAKE_BACK and member.drain is not None:
            await self._sets.mark(of, member, draining=False, now=now)
            await self._reports.withdraw_drain(member.uid, member.drain)
        elif step.do is Do.DELETE:
            await self._delete(of, member)
        meters.ACTIONS.labels(_METERED[step.do]).inc()

    async def _delete(self, of: StatefulSet, member: Member) -> None:
        if member.drain is not None and not await self._reports.stands(member.uid, member.drain):
            raise Outdated(f"{member.name} does not drain any more")
        await self._sets.delete(of, member)

    def _tell(self, of: StatefulSet, step: Step) -> None:
        """A step, and what is waited for, is told once."""
        key, said = (of.namespace, of.name), f"{step.do}: {step.why}"
        if self._said.get(key) != said:
            self._said[key] = said
            pod = step.member.name if step.member is not None else ""
            _log.info("rollout", statefulset=of.name, do=step.do.value, why=step.why, pod=pod)
