"""The slots of a transcoder: takes offers while it has room, runs jobs, drains."""

import asyncio
import time
from contextlib import suppress

from odeon_runtime.logs import logger
from odeon_runtime.pool_agent import Intake, Load, OpenIntake
from prometheus_client import Counter

from odeon_transcoder.ports import (
    Assignment,
    JobNotOurs,
    Memory,
    Offer,
    Offers,
    Outcome,
    Unreachable,
)
from odeon_transcoder.usecases.job import JobConfig, JobRun, Surroundings

_log = logger(__name__)
_FULL_S = 0.2
_AWAY_S = 1.0
_TOO_LARGE_S = 5.0
"""Until an offer that never fits here goes round again: a larger worker may have come."""
_RECALL_FOR_S = 10.0

TOO_LARGE = Counter(
    "odeon_transcoder_offers_too_large",
    "Offers that need more slots than this whole transcoder has; counted each time they come round",
)


class _NotNow(Exception):
    """This worker cannot run the job yet; it, or another worker, may soon."""


class _Forbidden(Exception):
    """The pool drains this worker, or it cannot be known whether it does."""


class Supervisor:
    """Owns the running jobs. `take_offers` and `resume` are tasks of the service."""

    def __init__(
        self,
        *,
        slots: int,
        offers: Offers,
        memory: Memory,
        config: JobConfig,
        around: Surroundings,
        intake: Intake | None = None,
    ) -> None:
        self.slots = slots
        self.stopping = False
        """Drained by a call or a stop: for good."""
        self._offers = offers
        self._memory = memory
        self._config = config
        self._around = around
        self._jobs: dict[str, JobRun] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._remembered: set[str] = set()
        self._to_resume: set[str] | None = None
        """None until the memory was looked at."""
        self._claiming = asyncio.Lock()
        self._promised = 0
        """Slots of the claim that is on its way."""
        self._freed = asyncio.Event()
        self._intake = intake or OpenIntake()
        self._intake.when_changed(self._heed_intake)

    @property
    def jobs(self) -> list[JobRun]:
        """Running jobs."""
        return list(self._jobs.values())

    @property
    def slots_used(self) -> int:
        """Slots that running jobs take."""
        return sum(job.assignment.slots for job in self._jobs.values())

    @property
    def slots_free(self) -> int:
        """Slots for new jobs; after settings changed, perhaps fewer than none."""
        return self.slots - self.slots_used

    @property
    def draining(self) -> bool:
        """Takes no new work now; also while it is not known whether its pool drains it."""
        return self.stopping or self._intake.closed

    @property
    def load(self) -> Load:
        """What its pool is told. Jobs to resume, and a claim on its way, are promises."""
        promised = 1 if self._to_resume is None else len(self._to_resume)
        return Load(
            sessions=len(self._jobs),
            reserved=promised + (self._promised > 0),
            slots_used=self.slots_used + self._promised + promised,
            slots_total=self.slots,
            ready=not self.stopping,
        )

    async def take_offers(self) -> None:
        """Claim offered jobs while there is a free slot; for ever."""
        while True:
            if self.draining or self.slots_free <= 0:
                self._freed.clear()
                await self._freed.wait()
                continue
            offer = await self._intake.pull(self._offers.next, self._offers.put_back)
            if offer is not None:
                await self._consider(offer)

    async def resume(self) -> None:
        """Claim again what was running when this worker was killed.

        Also while its pool drains it: that is live work, not new work.
        """
        self._remembered = set(self._memory.recall())
        left = self._to_resume = set(self._remembered)
        deadline = time.monotonic() + _RECALL_FOR_S
        while left and not self.stopping and time.monotonic() < deadline:
            for job in sorted(left):
                try:
                    await self._claim(job)
                except (Unreachable, _NotNow):
                    continue
                except JobNotOurs:
                    _log.info("job_not_resumed", job=job)
                    self._remembered.discard(job)
                left.discard(job)
                self._intake.load_changed()
            await asyncio.sleep(_FULL_S)
        left.clear()
        self._intake.load_changed()

    def drain(self) -> None:
        """Take no new work from now on."""
        self.stopping = True
        self._intake.load_changed()

    async def stop(self, *, wait_s: float, flush_s: float) -> None:
        """Drain, let jobs go on for `wait_s`, then release them to other workers."""
        self.drain()
        if self._tasks and wait_s > 0:
            await asyncio.wait(self._tasks.values(), timeout=wait_s)
        for job in self._jobs.values():
            job.release()
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=flush_s + 2)
        for task in list(self._tasks.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def _heed_intake(self) -> None:
        """The pool lets work in or not, or wants what runs here to go on elsewhere."""
        self._freed.set()
        if self._intake.hands_over:
            for job in self._jobs.values():
                job.release()

    async def _consider(self, offer: Offer) -> None:
        if self.draining:
            await offer.again(0.0)
            return
        if offer.slots > self.slots:
            _log.warning("offer_too_large", job=offer.job, needs=offer.slots, has=self.slots)
            TOO_LARGE.inc()
            await offer.again(_TOO_LARGE_S)
            return
        try:
            async with self._intake.claiming() as may:
                if not may:
                    raise _Forbidden
                await self._claim(offer.job, slots=max(offer.slots, 1))
        except JobNotOurs as error:
            _log.info("offer_declined", job=offer.job, reason=str(error))
            await offer.done()
        except _NotNow:
            await offer.again(_FULL_S)
        except (Unreachable, _Forbidden):
            await offer.again(_AWAY_S)
        else:
            await offer.done()

    async def _claim(self, job: str, *, slots: int = 0) -> None:
        # One at a time: after a restart the memory and an offer name the same job, and what is
        # free is known only once the claim before has been answered.
        async with self._claiming:
            run = self._jobs.get(job)
            if run is None:
                if max(slots, 1) > self.slots_free:
                    raise _NotNow
                self._run(await self._fitting(job, slots))
            elif run.ending:
                # Given back and offered anew, while the old run has still to clear up: taking this
                # offer for done would lose it.
                raise _NotNow

    async def _fitting(self, job: str, slots: int) -> Assignment:
        """Claim a job; one that takes more than is free, as only its claim tells, is given back."""
        worker = self._config.worker
        self._promised = slots
        self._intake.load_changed()
        try:
            assignment = await self._around.rooms.claim(job, worker)
            if assignment.slots > self.slots_free:
                rooms = self._around.rooms
                await rooms.finish(assignment, worker, Outcome.RELEASED, "no free slots")
                raise JobNotOurs("no free slots")
        finally:
            self._promised = 0
        return assignment

    def _run(self, assignment: Assignment) -> None:
        _log.info("job_claimed", job=assignment.job, claim=assignment.claim)
        run = JobRun(assignment, self._config, self._around)
        self._jobs[assignment.job] = run
        self._remembered.add(assignment.job)
        self._memory.keep(self._remembered)
        task = asyncio.create_task(run.run(), name=assignment.job)
        self._tasks[assignment.job] = task
        task.add_done_callback(lambda done: self._ended(assignment.job, done))
        if self._intake.hands_over:
            # Claimed, or resumed, just when the pool asked for everything back.
            run.release()
        self._intake.load_changed()

    def _ended(self, job: str, task: asyncio.Task[None]) -> None:
        self._jobs.pop(job, None)
        self._tasks.pop(job, None)
        self._remembered.discard(job)
        self._memory.keep(self._remembered)
        self._freed.set()
        self._intake.load_changed()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("job_failed", job=job, exc_info=error)
