"""What a pod promises by an acknowledgement, under every order of events that can be thought up.

The agent is the real one; NATS is a store in memory whose requests and answers travel for as long
as the example says, and fail or are heard twice; time is the loop's own. What a real nats-server
does is in `test_pools.py` and `test_pool_agent.py`.
"""

import asyncio
import selectors
from collections.abc import AsyncGenerator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st
from odeon.pools.v1 import pools_pb2
from odeon_runtime.kv import BucketUnknown, Mark
from odeon_runtime.pool_agent import Load, Member, PoolAgent
from odeon_runtime.pools import Drain
from odeon_testkit.wait import until

POD = Member("cpu", "cpu-0", "uid-0")
PATIENCE_S = 60.0


class _Jumping(selectors.DefaultSelector):
    """Never waits: as long as it should have is how far time has moved."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if not found:
            assert timeout is not None, "nothing will ever happen"
            self.now += max(timeout, 0)
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next thing that is due."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


@dataclass
class Run:
    """One run of the pod's process."""

    agent: PoolAgent
    sessions: int = 0
    resuming: int = 0
    claiming: int = 0
    acknowledged: set[int] = field(default_factory=set)


class World:
    """NATS, and the pod's process with its worker; checks every promise as it is made."""

    def __init__(self, journeys: Iterator[float], failures: Iterator[bool]) -> None:
        self._journeys, self._failures = journeys, failures
        self.record: Drain | None = None
        self.revision = 0
        self.asked = 0
        self.freed: set[int] = set()
        """Drains that no longer bind: withdrawn, or replaced by another one."""
        self.reports: list[pools_pb2.PodReport] = []
        self.away = False
        self.claims = 0
        self._watcher: asyncio.Queue[Drain | Mark] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self.run = self._begin(resuming=0)

    # NATS

    async def of(self, pod_uid: str) -> Drain | None:
        await self._travel()
        found = self.record
        await self._travel()
        return found

    async def put(self, report: pools_pb2.PodReport) -> None:
        await self._travel()
        self.check_report(report)
        self.reports.append(report)
        await self._travel()

    async def watch(self, pod_uid: str) -> AsyncGenerator[Drain | Mark, None]:
        while True:
            self._watcher = queue = asyncio.Queue[Drain | Mark]()
            if self.record is not None:
                queue.put_nowait(self.record)
            queue.put_nowait(Mark.CURRENT)
            while (told := await queue.get()) is not Mark.UNKNOWN:
                await asyncio.sleep(next(self._journeys))
                yield told
            yield Mark.UNKNOWN
            await asyncio.sleep(next(self._journeys))

    async def _travel(self) -> None:
        await asyncio.sleep(next(self._journeys))
        if self.away or next(self._failures):
            raise BucketUnknown("lost on its way")

    def _tell(self, told: Drain | Mark) -> None:
        if self._watcher is not None:
            self._watcher.put_nowait(told)

    # What the operator and fate do

    def ask(self) -> None:
        self.freed.add(self.asked)
        self.asked += 1
        record = pools_pb2.DrainRecord(ask_time=Timestamp(seconds=self.asked))
        self._write(record)

    def withdraw(self) -> None:
        self.freed.add(self.asked)
        self._write(None)

    def _write(self, record: pools_pb2.DrainRecord | None) -> None:
        self.revision += 1
        self.record = Drain(POD.pod_uid, record, self.revision)
        self._tell(self.record)

    def lose_bucket(self) -> None:
        self.record, self.revision = None, 0
        self._tell(Mark.UNKNOWN)

    def break_watch(self) -> None:
        self._tell(Mark.UNKNOWN)

    def leave(self) -> None:
        self.away = True

    def come_back(self) -> None:
        self.away = False

    def heal(self) -> None:
        """From now on everything arrives."""
        self.away, self._failures = False, cycle([False])

    async def restart(self) -> None:
        """Kill the process anywhere; the next one resumes what ran, and what was being claimed."""
        old = self.run
        await self.end()
        self.run = self._begin(resuming=old.sessions + old.claiming + old.resuming)

    async def end(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()

    # The pod's process

    def _begin(self, *, resuming: int) -> Run:
        def load() -> Load:
            return Load(sessions=run.sessions, reserved=run.resuming)

        run = Run(PoolAgent(POD, reports=self, drains=self, load=load), resuming=resuming)
        for work in (run.agent.run(), self._work(run), self._resume(run)):
            self._tasks.append(asyncio.create_task(work))
        return run

    async def _resume(self, run: Run) -> None:
        while run.resuming:
            await asyncio.sleep(next(self._journeys))
            run.resuming -= 1
            run.sessions += 1
            run.agent.load_changed()

    async def _work(self, run: Run) -> None:
        may_have_opened = asyncio.Event()
        run.agent.when_changed(may_have_opened.set)
        while True:
            if run.agent.closed:
                may_have_opened.clear()
                await may_have_opened.wait()
            if await run.agent.pull(self._offer, self._put_back):
                await self._claim(run)

    async def _offer(self) -> bool:
        await asyncio.sleep(0.1 + next(self._journeys))
        return True

    async def _put_back(self) -> None:
        await asyncio.sleep(next(self._journeys))

    async def _claim(self, run: Run) -> None:
        before = self.record
        async with run.agent.claiming() as may:
            if not may:
                return
            self.check_claim(run, before)
            run.claiming += 1
            await asyncio.sleep(next(self._journeys))
            run.claiming -= 1
            run.sessions += 1
            self.claims += 1
        # Work ends after a while, or every pod would be full of it.
        asyncio.get_running_loop().call_later(0.5, self._ended, run)

    def _ended(self, run: Run) -> None:
        run.sessions -= 1
        run.agent.load_changed()

    # Promises

    @property
    def obeyed(self) -> int:
        """The drain that the last report obeys; 0 for none."""
        return self.reports[-1].obeyed_drain_time.seconds if self.reports else 0

    def check_alive(self) -> None:
        for task in self._tasks:
            if task.done():
                task.result()

    def check_claim(self, run: Run, before: Drain | None) -> None:
        last = self.reports[-1]
        assert last.run_id == run.agent.run_id, "claims before this run has reported"
        assert not last.HasField("obeyed_drain_time"), "claims after an acknowledgement"
        assert run.acknowledged <= self.freed, "claims though the drain was never withdrawn"
        if before is not None and before.record is not None:
            assert self.record is not before, "claims though the record stood before it asked"

    def check_report(self, report: pools_pb2.PodReport) -> None:
        if report.HasField("obeyed_drain_time"):
            run = self.run
            assert report.run_id == run.agent.run_id
            assert not run.claiming, "acknowledges while a claim is on its way"
            assert not run.resuming, "acknowledges before old work is settled"
            run.acknowledged.add(report.obeyed_drain_time.seconds)


FATE = (
    *(World.ask, World.ask, World.ask),
    *(World.withdraw, World.withdraw, World.withdraw),
    *(World.come_back, World.come_back),
    World.break_watch,
    World.lose_bucket,
    World.leave,
    World.restart,
)
journey_times = st.sampled_from([0.0, 0.0, 0.001, 0.02, 0.1, 0.4])
pauses = st.sampled_from([0.0, 0.001, 0.1, 0.3, 0.6, 1.0, 2.0])


async def live(acts: list[tuple[int, float]], journeys: list[float], failures: list[bool]) -> World:
    world = World(cycle(journeys), cycle(failures))
    for number, pause in acts:
        await asyncio.sleep(pause)
        done = FATE[number](world)
        if done is not None:
            await done
        world.check_alive()
    return world


async def settle(world: World) -> None:
    """Everything works again: a standing drain is acknowledged, a withdrawn one lets work in."""
    world.heal()
    world.ask()

    async def obeyed() -> bool:
        world.check_alive()
        return world.obeyed == world.asked

    await until(obeyed, timeout_s=PATIENCE_S)
    claims = world.claims
    world.withdraw()

    async def works() -> bool:
        world.check_alive()
        return world.claims > claims

    await until(works, timeout_s=PATIENCE_S)


async def whole_life(
    acts: list[tuple[int, float]], journeys: list[float], failures: list[bool]
) -> None:
    world = await live(acts, journeys, failures)
    await settle(world)
    await world.end()


@settings(max_examples=300, deadline=None)
@given(
    acts=st.lists(st.tuples(st.integers(0, len(FATE) - 1), pauses), min_size=8, max_size=30),
    journeys=st.lists(journey_times, min_size=7, max_size=23),
    failures=st.lists(st.booleans(), max_size=5),
)
def test_no_claim_follows_an_acknowledgement_whatever_the_order_of_events(
    acts: list[tuple[int, float]], journeys: list[float], failures: list[bool]
) -> None:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(whole_life(acts, journeys, [*failures, *[False] * 9]))
