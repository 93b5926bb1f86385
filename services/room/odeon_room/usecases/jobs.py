"""Jobs: claimed, renewed, watched, given back."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import TypeVar

from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import JobId
from odeon_runtime.logs import logger
from odeon_runtime.principal import Principal
from odeon_runtime.sql import page_size, page_token, parse_page_token

from odeon_room.domain import jobs
from odeon_room.domain.event_state import EventState
from odeon_room.domain.events import Event
from odeon_room.domain.facts import JobMoved
from odeon_room.domain.jobs import Job, JobLost, JobNotFound, JobState, Outcome
from odeon_room.domain.layout import Layout
from odeon_room.ports import Store, TokenDesk, TokenOrder, TokenUse, Transaction
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock, require_whole_tenant
from odeon_room.usecases.leases import Leases
from odeon_room.usecases.nodes import Nodes
from odeon_room.usecases.watch import Changes

_R = TypeVar("_R")
_log = logger(__name__)
_LOOK_AGAIN_S = 1.0
"""How late a watcher hears of a change made through another instance, at most."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """A job as it should run now."""

    job: Job
    layout: Layout
    node_address: str
    join_token: str = ""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who speaks for a claim."""

    name: str
    worker: str
    claim: int


class Jobs:
    """Use cases of jobs."""

    def __init__(
        self,
        store: Store,
        nodes: Nodes,
        desk: TokenDesk,
        changes: Changes,
        now: Clock,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._nodes = nodes
        self._desk = desk
        self._changes = changes
        self._now = now
        self.leases = Leases(monotonic)
        self.suspects: set[tuple[str, int]] = set()
        """Claims whose worker's watch stream broke: (job, claim)."""

    async def claim(self, caller: Principal, name: str, worker: str) -> Assignment:
        """Take an offered job: where to join, and the hidden seat's token."""
        caller.require_alone()
        if not 0 < len(worker) <= 100 or not worker.isprintable():
            raise InvalidArgument(field="worker", problem="1 to 100 printable characters")

        async def work(tx: Transaction, job: Job) -> tuple[Job, Event]:
            event = await lookup.event(tx, job.event)
            claimed = jobs.claimed(job, worker, self._now())
            event = await self._nodes.ensure_placed(tx, event)
            await tx.put_job(claimed)
            if claimed.claim != job.claim:
                await tx.tell(_moved(claimed))
            return claimed, event

        job, event = await self._with_job(name, work)
        self.leases.heard(job)
        self._changes.tell(job.id)
        order = TokenOrder(
            use=TokenUse.JOIN,
            event=event.id,
            role="recorder",
            identity=f"recorder-{job.id}",
            tenant=job.tenant,
        )
        (seat,) = await self._desk.issue([order])
        return replace(self._assignment(job, event), join_token=seat.text)

    async def renew(self, caller: Principal, holder: Holder, status: str) -> Assignment:
        """Keep a claim; answers with the job as it should now run."""
        caller.require_alone()

        async def work(tx: Transaction, job: Job) -> tuple[Job, Event]:
            renewed = jobs.renewed(job, worker=holder.worker, claim=holder.claim, status=status)
            if renewed != job:
                await tx.put_job(renewed)
            return renewed, await lookup.event(tx, job.event)

        job, event = await self._with_job(holder.name, work)
        self.leases.heard(job)
        return self._assignment(job, event)

    async def finish(
        self, caller: Principal, holder: Holder, outcome: Outcome, detail: str = ""
    ) -> Job:
        """Give a job back."""
        caller.require_alone()

        async def work(tx: Transaction, job: Job) -> Job:
            event = await lookup.event(tx, job.event)
            finished = jobs.finished(
                job,
                worker=holder.worker,
                claim=holder.claim,
                outcome=outcome,
                now=self._now(),
                live=event.state is EventState.LIVE,
                detail=detail,
            )
            if event.state is EventState.ENDED:
                finished = jobs.cancelled(finished, self._now())
            await tx.put_job(finished)
            if finished.state is not job.state:
                await tx.tell(_moved(finished))
            return finished

        job = await self._with_job(holder.name, work)
        if job.failures >= jobs.MOST_FAILURES:
            _log.error("job_keeps_failing", job=job.id, failures=job.failures, status=job.status)
        self._changes.tell(job.id)
        return job

    async def watch(self, caller: Principal, holder: Holder) -> AsyncIterator[Assignment]:
        """A claimed job whenever it should run differently; ends with the job.

        Raises:
            JobLost: the claim is another's by now.
        """
        caller.require_alone()
        last: Assignment | None = None
        job_id = JobId.parse_name(holder.name)
        key = (str(job_id), holder.claim)
        self.suspects.discard(key)
        try:
            while True:
                changed = self._changes.waiter(job_id)
                assignment = await self._look(holder)
                if assignment != last:
                    yield replace(assignment)
                    last = assignment
                if assignment.job.state in jobs.FINAL:
                    return
                await self._changes.wait(changed, _LOOK_AGAIN_S)
        finally:
            self.suspects.add(key)
            self._changes.tell(job_id)

    async def list(
        self, caller: Principal, *, size: int, token: str, states: Collection[JobState]
    ) -> tuple[list[Job], str]:
        """A page of jobs and the token of the next."""
        tenant = require_whole_tenant(caller)
        limit, after = page_size(size), parse_page_token(token)
        async with self._store.reading(tenant) as tx:
            found = await tx.jobs(limit=limit + 1, after=after, states=states)
        page = found[:limit]
        return page, page_token(page[-1].create_time, page[-1].id) if len(found) > limit else ""

    async def _look(self, holder: Holder) -> Assignment:
        job_id = JobId.parse_name(holder.name)
        async with self._store.reading(await self._tenant(job_id)) as tx:
            job = await lookup.job(tx, job_id)
            event = await lookup.event(tx, job.event)
        if job.worker != holder.worker or job.claim != holder.claim:
            raise JobLost("this claim is not the present one", claim=str(job.claim))
        # What changes with every renewal is no news.
        return self._assignment(replace(job, renewals=0, status=""), event)

    async def _with_job(self, name: str, work: Callable[[Transaction, Job], Awaitable[_R]]) -> _R:
        job_id = JobId.parse_name(name)

        async def run(tx: Transaction) -> _R:
            return await work(tx, await lookup.job(tx, job_id))

        return await self._store.atomically(await self._tenant(job_id), run)

    async def _tenant(self, job_id: JobId) -> str:
        tenant = await self._store.tenant_of_job(job_id)
        if tenant is None:
            raise JobNotFound("no such job", job=job_id)
        return tenant

    def _assignment(self, job: Job, event: Event) -> Assignment:
        return Assignment(job, event.layout, self._nodes.address(event.node))


def _moved(job: Job) -> JobMoved:
    return JobMoved(job.id, job.event, job.state, job.worker)
