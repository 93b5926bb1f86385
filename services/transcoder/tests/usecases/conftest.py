"""A worker's use cases among scripted peers: no process, no network, no clock of the machine."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from odeon_runtime.pool_agent import Intake
from odeon_runtime.tasks import end
from odeon_testkit.wait import until
from odeon_transcoder import messages
from odeon_transcoder.ports import (
    Assignment,
    JobNotOurs,
    Offers,
    Outcome,
    StageConnection,
    Unreachable,
)
from odeon_transcoder.usecases.job import JobConfig, JobRun, Surroundings
from odeon_transcoder.usecases.spares import Spares
from odeon_transcoder.usecases.supervisor import Supervisor

LAYOUT = messages.Layout("single")


class Process:
    """A job process that reports what a test lets it report."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.told: list[messages.Command] = []
        self._reports: asyncio.Queue[messages.Report | None] = asyncio.Queue()
        self.alive = True

    def send(self, command: messages.Command) -> None:
        self.told.append(command)
        if isinstance(command, messages.Finish):
            self.report(messages.Ended("STOPPED"))

    def report(self, report: messages.Report) -> None:
        self._reports.put_nowait(report)

    def die(self) -> None:
        """Its pipe ends, as that of a killed process."""
        self.alive = False
        self._reports.put_nowait(None)

    async def reports(self) -> AsyncIterator[messages.Report]:
        while (report := await self._reports.get()) is not None:
            yield report

    async def kill(self) -> None:
        self.die()


class World:
    """Room, recorder, stage, tokens, queue and memory of one or more workers."""

    def __init__(self) -> None:
        self.slots: dict[str, int] = {}
        """Jobs that room knows, and what each takes."""
        self.holder: dict[str, str] = {}
        self.finished: list[tuple[str, str, Outcome]] = []
        self.may_finish = asyncio.Event()
        self.may_finish.set()
        self.recorder_away = False
        self.acquiring = 0
        self.granted = 0
        self.started: list[Process] = []

    # ports.Rooms

    async def claim(self, job: str, worker: str) -> Assignment:
        if job not in self.slots or self.holder.get(job, worker) != worker:
            raise JobNotOurs("JOB_TAKEN")
        self.holder[job] = worker
        return Assignment(
            job, "acme", "launch", 1, "default", LAYOUT, "", "token", slots=self.slots[job]
        )

    async def renew(self, assignment: Assignment, worker: str, status: str) -> Assignment:
        return replace(assignment)

    async def finish(
        self, assignment: Assignment, worker: str, outcome: Outcome, detail: str
    ) -> None:
        self.finished.append((assignment.job, worker, outcome))
        self.holder.pop(assignment.job, None)
        # The job is on offer again before the worker that gave it back hears so.
        await self.may_finish.wait()

    async def watch(self, assignment: Assignment, worker: str) -> AsyncIterator[Assignment]:
        yield assignment
        await asyncio.Event().wait()

    # ports.Timelines

    async def acquire(
        self, assignment: Assignment, owner: str, renditions: tuple[messages.Rendition, ...]
    ) -> messages.Granted:
        self.acquiring += 1
        if self.recorder_away:
            raise Unreachable("away")
        self.granted += 1
        return messages.Granted(self.granted, 0, 0.0, renditions)

    async def heartbeat(self, assignment: Assignment, owner: str, epoch: int) -> None:
        """Always fine."""

    # ports.Stages, ports.Tokens, ports.JobProcesses

    @asynccontextmanager
    async def open(self, node: str, join_token: str) -> AsyncIterator[StageConnection]:
        raise Unreachable("no stage here")
        yield

    async def get(self) -> str:
        return "token"

    async def start(self) -> Process:
        process = Process(1000 + len(self.started))
        self.started.append(process)
        return process


@dataclass
class Offered:
    """An offer that remembers what was said to it."""

    queue: "Queue"
    job: str
    slots: int = 1
    said: list[str] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)

    async def done(self) -> None:
        self.said.append("done")

    async def again(self, delay_s: float) -> None:
        self.said.append("again" if delay_s > 0 else "again at once")
        self.delays_s.append(delay_s)
        loop = asyncio.get_running_loop()
        loop.call_later(delay_s, self.queue.offers.put_nowait, self)


class Queue:
    """A work queue that several workers pull from."""

    def __init__(self) -> None:
        self.offers: asyncio.Queue[Offered] = asyncio.Queue()

    def offer(self, job: str, slots: int = 1) -> Offered:
        offer = Offered(self, job, slots)
        self.offers.put_nowait(offer)
        return offer

    async def next(self) -> Offered | None:
        return await self.offers.get()

    async def put_back(self) -> None:
        """Nothing is taken out of it before its time."""


class Remembered:
    """A memory that needs no file."""

    def __init__(self, jobs: Iterable[str] = ()) -> None:
        self.jobs = list(jobs)

    def recall(self) -> list[str]:
        return list(self.jobs)

    def keep(self, jobs: Iterable[str]) -> None:
        self.jobs = list(jobs)


class Workshop:
    """Makes workers, and ends what they run."""

    def __init__(self) -> None:
        self.world, self.queue = World(), Queue()
        self._tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.create_task(work))

    def around(self) -> Surroundings:
        world: Any = self.world
        spares = Spares(world, 1)
        self.spawn(spares.refill())
        return Surroundings(rooms=world, timelines=world, stages=world, tokens=world, spares=spares)

    def run(self, job: str = "jobs/job-1") -> JobRun:
        """One running job, without a supervisor."""
        self.world.slots[job] = 1
        assignment = Assignment(job, "acme", "launch", 1, "default", LAYOUT, "", "token")
        made = JobRun(
            assignment,
            JobConfig("w1", "http://recorder", "127.0.0.1", watchdog_s=60),
            self.around(),
        )
        self.spawn(made.run())
        return made

    def worker(
        self,
        name: str,
        *,
        slots: int,
        remembers: Iterable[str] = (),
        offers: Offers | None = None,
        intake: Intake | None = None,
    ) -> Supervisor:
        """A worker that takes offers."""
        made = Supervisor(
            slots=slots,
            offers=offers or self.queue,
            memory=Remembered(remembers),
            config=JobConfig(name, "http://recorder", "127.0.0.1", watchdog_s=60),
            around=self.around(),
            intake=intake,
        )
        self.spawn(made.resume())
        self.spawn(made.take_offers())
        return made

    async def close(self) -> None:
        await end(self._tasks)


async def soon(condition: Callable[[], bool]) -> None:
    """Wait for what must come."""

    async def holds() -> bool:
        return condition()

    await until(holds, timeout_s=20)


@pytest.fixture
async def workshop() -> AsyncIterator[Workshop]:
    made = Workshop()
    yield made
    await made.close()
