"""Actions of a decision, carried out in the order in which a crash between any two is harmless.

- Drain: the record in KV first, then the label. A record without a label drains all the same.
- Take back: the label first, then the record. Whoever deletes at that moment fails on the changed
  object (`domain/sight.may_go`).
- Delete: the record is read once more, then with the uid and resourceVersion that were looked at.
- Create: under a name that follows from the place, so that creating twice finds the first.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from odeon_runtime.logs import logger

from odeon_operator.domain.pods import Pod, PodState, undrained
from odeon_operator.domain.rollout import OLDER
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.sight import PodFacts, may_go
from odeon_operator.ports import (
    Cluster,
    Lease,
    NameTaken,
    Outdated,
    PoolFacts,
    Refused,
    Reports,
    Unreachable,
)
from odeon_operator.usecases import meters

AT_ONCE = 16
"""Calls under way for one pool; the width that Agones creates its servers with."""
SCALE_IN, UPDATE, NODE_DRAIN = "SCALE_IN", "UPDATE", "NODE_DRAIN"
"""Why a pod drains, as its record says it."""
_log = logger(__name__)
_T = TypeVar("_T")


@dataclass(slots=True)
class Outcome:
    """What came of the actions.

    Attributes:
        outdated: something had changed meanwhile: look again at once.
        unreachable: the API server or NATS did not answer: try again later.
        trouble: what the API server will not have, in a sentence.
        made: uids of pods that were created.
    """

    outdated: bool = False
    unreachable: bool = False
    trouble: str = ""
    made: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Seen:
    """The pods of one pool, as objects and as decisions see them, by uid."""

    facts: Mapping[str, PodFacts]
    pods: Mapping[str, Pod]
    handled: set[str] = field(default_factory=set)
    """Pods whose label was looked after already."""

    def pick(self, uids: Sequence[str]) -> list[PodFacts]:
        """Objects of these pods, without those that somebody deleted."""
        return [self.facts[uid] for uid in uids if not self.facts[uid].leaving]

    def mislabelled(self) -> list[PodFacts]:
        """Pods whose label does not say what they are."""
        return [
            facts
            for uid, facts in self.facts.items()
            if uid not in self.handled
            and not (facts.leaving or facts.finished)
            and facts.marked is not self.pods[uid].state
        ]


class CarryingOut:
    """Carries out what was decided of a pool. Every write asks first whether the lease is held."""

    def __init__(self, cluster: Cluster, reports: Reports, lease: Lease) -> None:
        self._cluster = cluster
        self._reports = reports
        self._lease = lease

    async def run(self, pool: PoolFacts, actions: Actions, seen: Seen, now: datetime) -> Outcome:
        """Carry out everything that can be, and say what could not."""
        outcome = Outcome()
        finished = [f for f in seen.facts.values() if f.finished and not f.leaving]
        leaving = [seen.facts[uid] for uid in actions.delete if may_go(seen.facts[uid])]
        await self._each(seen.pick(actions.undrain), lambda f: self._take_back(f, seen), outcome)
        await self._each(seen.pick(actions.drain), lambda f: self._drain(pool, f, now), outcome)
        seen.handled |= {*actions.undrain, *actions.drain}
        await self._each(seen.pick(actions.hand_over), self._hand_over, outcome)
        await self._each([*finished, *leaving], self._delete, outcome)
        seen.handled |= {f.uid for f in (*finished, *leaving)}
        await self._each(actions.start, lambda index: self._create(pool, index, outcome), outcome)
        await self._each(self._forgotten(seen), self._release, outcome)
        await self._each(seen.mislabelled(), lambda f: self._label(f, seen), outcome)
        return outcome

    def _forgotten(self, seen: Seen) -> list[PodFacts]:
        """Pods that obey a drain of which there is no record: a bucket was lost, or a taking back.

        Pods go by the marker that a withdrawal leaves, so that a lost bucket frees none by itself.
        """
        if not self._reports.current:
            return []
        return [
            facts
            for uid, facts in seen.facts.items()
            if facts.marked is not PodState.DRAINING
            and self._reports.drain(uid) is None
            and (latest := self._reports.readings(uid).latest) is not None
            and latest.report.obeys is not None
        ]

    async def _release(self, facts: PodFacts) -> None:
        await self._reports.forget(facts.uid)
        _log.info("pod_released", pod=facts.name, uid=facts.uid)

    async def _take_back(self, facts: PodFacts, seen: Seen) -> None:
        if facts.marked is not PodState.DRAINING:
            # An earlier drain or taking back was cut between its two steps. The label must change
            # now for a rival's deletion to fail, so it is made to say draining first.
            await self._cluster.mark_pod(facts, PodState.DRAINING)
            raise Outdated(f"{facts.name} was not labelled")
        record = self._reports.drain(facts.uid)
        await self._cluster.mark_pod(facts, undrained(seen.pods[facts.uid]).state)
        if record is not None:
            await self._reports.withdraw_drain(facts.uid, record)
        meters.ACTIONS.labels("undrain").inc()
        _log.info("pod_taken_back", pod=facts.name, uid=facts.uid)

    async def _drain(self, pool: PoolFacts, facts: PodFacts, now: datetime) -> None:
        old = pool.pool is not None and facts.version != pool.pool.version
        moves = facts.notice is not None
        reason = NODE_DRAIN if moves else UPDATE if old else SCALE_IN
        record = await self._reports.ask_drain(facts.uid, asked=now, reason=reason)
        meters.ACTIONS.labels("drain").inc()
        asked = record.asked.isoformat()
        _log.info("pod_drains", pod=facts.name, uid=facts.uid, asked=asked, reason=record.reason)
        await self._cluster.mark_pod(facts, PodState.DRAINING)

    async def _hand_over(self, facts: PodFacts) -> None:
        record = self._reports.drain(facts.uid)
        if record is None:
            raise Outdated(f"{facts.name} does not drain any more")
        await self._reports.ask_hand_over(facts.uid, record)
        meters.ACTIONS.labels("hand_over").inc()
        why = facts.notice.why if facts.notice is not None else OLDER.why
        _log.info("pod_hands_over", pod=facts.name, uid=facts.uid, why=why)

    async def _delete(self, facts: PodFacts) -> None:
        if not facts.finished:
            record = self._reports.drain(facts.uid)
            if record is None or not await self._reports.stands(facts.uid, record):
                raise Outdated(f"{facts.name} does not drain any more")
        await self._cluster.delete_pod(facts)
        meters.ACTIONS.labels("delete").inc()
        _log.info("pod_deleted", pod=facts.name, uid=facts.uid, finished=facts.finished)

    async def _create(self, pool: PoolFacts, index: int, outcome: Outcome) -> None:
        made = await self._cluster.create_pod(pool, index)
        outcome.made.add(made.uid)
        meters.ACTIONS.labels("create").inc()
        _log.info("pod_created", pod=made.name, uid=made.uid, pool=pool.ref.name)

    async def _label(self, facts: PodFacts, seen: Seen) -> None:
        await self._cluster.mark_pod(facts, seen.pods[facts.uid].state)

    async def _each(
        self, items: Sequence[_T], do: Callable[[_T], Awaitable[None]], outcome: Outcome
    ) -> None:
        """Do it for each, some at once. After a dependency was found away, the rest waits."""
        free = asyncio.Semaphore(AT_ONCE)

        async def one(item: _T) -> None:
            async with free:
                if outcome.unreachable:
                    return
                if not self._lease.held:
                    outcome.unreachable = True
                    return
                await _tried(do(item), outcome)

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(one(item))


async def _tried(work: Awaitable[None], outcome: Outcome) -> None:
    try:
        await work
    except Outdated:
        outcome.outdated = True
    except Unreachable as error:
        outcome.unreachable = True
        _log.warning("unreachable", error=str(error))
    except (NameTaken, Refused) as error:
        if not outcome.trouble:
            _log.warning("refused", error=str(error))
        outcome.trouble = str(error)
