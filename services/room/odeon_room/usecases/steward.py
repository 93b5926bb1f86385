"""What room does of its own accord: offers, lapses, moves, follow-ups."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

from odeon_runtime.errors import DomainError
from odeon_runtime.logs import logger

from odeon_room.domain import followups, jobs
from odeon_room.domain.facts import JobMoved, ParticipantWent
from odeon_room.domain.followups import Followup, FollowupKind
from odeon_room.domain.jobs import Job, JobState
from odeon_room.domain.placement import NoNodeAvailable
from odeon_room.ports import Offers, Placed, Stage, Store, Timelines, Transaction
from odeon_room.usecases.context import Clock
from odeon_room.usecases.jobs import Jobs
from odeon_room.usecases.nodes import NodeBoard, Nodes
from odeon_room.usecases.watch import Changes

LOOK_S = 0.25
_NODES_EVERY_S = 1.0
_CLEAN_EVERY_S = 900.0
_FORGET_REQUESTS = timedelta(days=7)
_log = logger(__name__)


class Leases:
    """How long each claim has stood still, by this process's monotonic clock.

    After a start every claim gets a whole lease anew: a room service that was away says nothing
    about the workers.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, tuple[int, int, float]] = {}

    def still_s(self, job: Job) -> float:
        """Seconds since the claim was last seen to change."""
        now = self._monotonic()
        claim, renewals, at = self._seen.get(job.id, (-1, -1, now))
        if (claim, renewals) != (job.claim, job.renewals):
            at = now
        self._seen[job.id] = (job.claim, job.renewals, at)
        return now - at

    def keep_only(self, alive: set[str]) -> None:
        """Forget claims of other jobs."""
        for job_id in self._seen.keys() - alive:
            del self._seen[job_id]


class Steward:
    """Housekeeping; every step may be done by several instances at once."""

    def __init__(
        self,
        *,
        store: Store,
        board: NodeBoard,
        nodes: Nodes,
        jobs_in_use: Jobs,
        offers: Offers,
        stage: Stage,
        timelines: Timelines,
        changes: Changes,
        now: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._board = board
        self._nodes = nodes
        self._jobs = jobs_in_use
        self._offers = offers
        self._stage = stage
        self._timelines = timelines
        self._changes = changes
        self._now = now
        self._monotonic = monotonic
        self._leases = Leases(monotonic)
        self._offered: dict[str, float] = {}

    async def watch_jobs(self) -> None:
        """Lapse claims that stand still, repeat offers that nobody took; for ever."""
        await self._repeat(LOOK_S, self.look_at_jobs)

    async def watch_nodes(self) -> None:
        """Learn of nodes, move events off those that are out; for ever."""
        await self._repeat(_NODES_EVERY_S, self.look_at_nodes)

    async def follow_up(self) -> None:
        """Do what must still be done after events ended; for ever."""
        await self._repeat(LOOK_S, self.do_followups)

    async def clean(self) -> None:
        """Forget what is old; for ever."""
        await self._repeat(_CLEAN_EVERY_S, self._forget)

    async def look_at_jobs(self) -> None:
        """One look at all unfinished jobs."""
        found = await self._store.unfinished_jobs()
        for job in found:
            if job.state is JobState.CLAIMED:
                await self._check_lease(job)
            else:
                self._offer(job)
        alive = {job.id for job in found}
        self._leases.keep_only(alive)
        self._offered = {k: v for k, v in self._offered.items() if k in alive}
        self._jobs.suspects &= {(job.id, job.claim) for job in found}

    async def look_at_nodes(self) -> None:
        """One look at all nodes and the events on them."""
        await self._board.refresh()
        for placed in await self._store.open_events():
            if not self._nodes.keeps(placed.event.node):
                await self._move(placed)

    async def do_followups(self) -> None:
        """One try of everything that is due."""
        for followup in await self._store.due_followups(self._now()):
            await self._try(followup)

    async def _check_lease(self, job: Job) -> None:
        suspected = (job.id, job.claim) in self._jobs.suspects
        if self._leases.still_s(job) < jobs.lease_s(suspected=suspected):
            return

        async def work(tx: Transaction) -> Job | None:
            current = await tx.job(job.id)
            if current is None or current.state is not JobState.CLAIMED:
                return None
            if (current.claim, current.renewals) != (job.claim, job.renewals):
                return None
            lapsed = jobs.lapsed(current)
            await tx.put_job(lapsed)
            await tx.tell(JobMoved(lapsed.id, lapsed.event, lapsed.state, ""))
            return lapsed

        if lapsed := await self._store.atomically(job.tenant, work):
            _log.warning("claim_lapsed", job=job.id, worker=job.worker, claim=job.claim)
            self._offer(lapsed)

    def _offer(self, job: Job) -> None:
        now = self._monotonic()
        rested = job.offer_time <= self._now()
        if rested and now - self._offered.get(job.id, -jobs.REOFFER_S) >= jobs.REOFFER_S:
            self._offered[job.id] = now
            self._offers.offer(job)

    async def _move(self, placed: Placed) -> None:
        was = placed.event.node

        async def work(tx: Transaction) -> list[Job]:
            event = await tx.event(placed.event.id)
            if event is None or event.node != was:
                return []
            await self._nodes.ensure_placed(tx, event)
            for gone in await tx.empty_stage(event.id, node=was):
                await tx.tell(ParticipantWent(event.id, gone.identity, "NODE_LOST"))
            return await tx.jobs_of(event.id)

        try:
            moved = await self._store.atomically(placed.tenant, work)
        except NoNodeAvailable:
            return  # it stays: a node that comes back holds its sessions still
        for job in moved:
            self._changes.tell(job.id)

    async def _try(self, followup: Followup) -> None:
        if not await self._is_ripe(followup):
            return
        try:
            if followup.kind is FollowupKind.CLOSE_STAGE:
                address = self._nodes.address(followup.detail)
                await self._stage.close(address, followup.tenant, followup.event)
            else:
                await self._timelines.end(followup.tenant, followup.event)
        except DomainError as error:
            _log.warning("followup_failed", kind=followup.kind, reason=error.reason)
            again = followups.next_try(followup, self._now())
            if again is not None:
                await self._store.postpone(followup, again)
                return
        await self._store.drop_followup(followup)

    async def _is_ripe(self, followup: Followup) -> bool:
        """A timeline and a stage end only when the transcoder has delivered its last parts."""
        async with self._store.reading(followup.tenant) as tx:
            held = await tx.jobs_of(followup.event)
        return all(jobs.flushed(job, followup.create_time, self._now()) for job in held)

    async def _forget(self) -> None:
        await self._store.forget_requests(self._now() - _FORGET_REQUESTS)
        await self._board.forget()

    async def _repeat(self, every_s: float, step: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except DomainError as error:
                _log.warning("housekeeping_postponed", step=step.__name__, reason=error.reason)
            await asyncio.sleep(every_s)
