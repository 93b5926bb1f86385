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
from odeon_room.usecases.watch import ANY, Changes

LOOK_S = 0.25
"""Between two looks at what nobody tells this process of, e.g. a claim renewed elsewhere."""
_NET_S = 2.0
"""Between two looks when nothing is told and nothing is due, for what another instance left."""
_LEAST_S = 0.01
_SILENT_S = 0.75
"""A worker that renews here does so every half second; after this perhaps it does elsewhere."""
_NODES_EVERY_S = 1.0
_CLEAN_EVERY_S = 900.0
_FORGET_REQUESTS = timedelta(days=7)
_log = logger(__name__)


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
        self._offered: dict[str, float] = {}
        self._unfinished: list[Job] = []
        self._unripe = False
        self._looked = self._tried = monotonic()

    async def watch_jobs(self) -> None:
        """Lapse claims that stand still, repeat offers that nobody took; for ever."""
        await self._repeat_told(self.look_at_jobs, self._until_job)

    async def watch_nodes(self) -> None:
        """Learn of nodes, move events off those that are out; for ever."""
        await self._repeat(_NODES_EVERY_S, self.look_at_nodes)

    async def follow_up(self) -> None:
        """Do what must still be done after events ended; for ever."""
        await self._repeat_told(self.do_followups, self._until_followup)

    async def clean(self) -> None:
        """Forget what is old; for ever."""
        await self._repeat(_CLEAN_EVERY_S, self._forget)

    async def look_at_jobs(self) -> None:
        """One look at all unfinished jobs."""
        self._looked = self._monotonic()
        found = await self._store.unfinished_jobs()
        for job in found:
            if job.state is JobState.CLAIMED:
                await self._check_lease(job)
            else:
                self._offer(job)
        alive = {job.id for job in found}
        self._jobs.leases.keep_only(alive)
        self._unfinished = found
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
        self._unripe, self._tried = False, self._monotonic()
        for followup in await self._store.due_followups(self._now()):
            await self._try(followup)

    async def _check_lease(self, job: Job) -> None:
        suspected = (job.id, job.claim) in self._jobs.suspects
        if self._jobs.leases.still_s(job) < jobs.lease_s(suspected=suspected):
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
            self._unripe = True
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

    async def _until_job(self) -> float:
        """Seconds until a claim may have lapsed, or an offer is to be made or repeated."""
        return min((self._rest_s(job) for job in self._unfinished), default=_NET_S)

    def _rest_s(self, job: Job) -> float:
        now = self._monotonic()
        if job.state is not JobState.CLAIMED:
            asked = self._offered.get(job.id, now - jobs.REOFFER_S)
            rest_s = (job.offer_time - self._now()).total_seconds()
            return max(rest_s, asked + jobs.REOFFER_S - now)
        suspected = (job.id, job.claim) in self._jobs.suspects
        still_s = self._jobs.leases.still_s(job)
        look_s = self._looked + LOOK_S - now
        if self._jobs.leases.is_heard_here(job):
            look_s = max(look_s, _SILENT_S - still_s)
        return min(look_s, jobs.lease_s(suspected=suspected) - still_s)

    async def _until_followup(self) -> float:
        """Seconds until the next one is due; one that waits for a job's last parts is tried on."""
        if self._unripe:
            return self._tried + LOOK_S - self._monotonic()
        now = self._now()
        due = await self._store.next_followup(now)
        return _NET_S if due is None else (due - now).total_seconds()

    async def _repeat_told(
        self, step: Callable[[], Awaitable[None]], until_next: Callable[[], Awaitable[float]]
    ) -> None:
        """After every change that was made here, and when something is due; for ever."""
        while True:
            changed = self._changes.waiter(ANY)
            try:
                await step()
                await self._rest(changed, until_next)
            except DomainError as error:
                _log.warning("housekeeping_postponed", step=step.__name__, reason=error.reason)
                await asyncio.sleep(LOOK_S)

    async def _rest(
        self, changed: asyncio.Event, until_next: Callable[[], Awaitable[float]]
    ) -> None:
        """What is due may move away while we wait for it: a renewal puts a lapse off."""
        end = self._monotonic() + _NET_S
        left = await until_next()
        while not changed.is_set():
            await self._changes.wait(changed, min(max(left, _LEAST_S), _NET_S))
            left = min(await until_next(), end - self._monotonic())
            if left <= 0:
                return
