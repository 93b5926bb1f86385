"""When pools are looked at."""

import asyncio
from datetime import timedelta

from odeon_operator.adapters.clock import SystemClock
from odeon_operator.ports import PoolRef
from odeon_operator.usecases.rounds import Rhythm, Rounds
from odeon_runtime.tasks import EternalTasks

A, B = PoolRef("TranscoderPool", "live", "a"), PoolRef("TranscoderPool", "live", "b")
QUICK = Rhythm(settle=0.001, gap=0.002, retry=0.001, longest_retry=0.002)


class Looker:
    """Notes what is looked at; `hold` keeps looks from ending."""

    def __init__(self, again: timedelta | None = None) -> None:
        self.seen: list[PoolRef] = []
        self.together = 0
        self.most_together = 0
        self.hold = asyncio.Event()
        self.hold.set()
        self.looked = asyncio.Event()
        self.again = again
        self.fails = 0

    async def look(self, ref: PoolRef) -> timedelta | None:
        self.seen.append(ref)
        self.together += 1
        self.most_together = max(self.most_together, self.together)
        self.looked.set()
        await self.hold.wait()
        self.together -= 1
        if self.fails:
            self.fails -= 1
            raise RuntimeError("it went wrong")
        return self.again

    async def times(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.seen) < count:
                self.looked.clear()
                await self.looked.wait()


async def test_a_pool_that_is_named_while_it_is_looked_at_is_looked_at_once_more() -> None:
    looker = Looker()
    rounds = Rounds(looker.look, SystemClock(), rhythm=QUICK)
    looker.hold.clear()
    async with EternalTasks() as tasks:
        for number in range(3):
            tasks.spawn(f"worker-{number}", rounds.work())
        rounds.concerns(A)
        await looker.times(1)
        for _ in range(20):
            rounds.concerns(A)
        looker.hold.set()
        await looker.times(2)
        rounds.concerns(B)
        await looker.times(3)

    assert looker.seen == [A, A, B]


async def test_one_pool_is_never_looked_at_twice_at_once_and_several_are() -> None:
    looker = Looker()
    rounds = Rounds(looker.look, SystemClock(), rhythm=QUICK)
    looker.hold.clear()
    async with EternalTasks() as tasks:
        for number in range(3):
            tasks.spawn(f"worker-{number}", rounds.work())
        rounds.concerns(A)
        rounds.concerns(B)
        await looker.times(2)
        rounds.concerns(A)
        rounds.concerns(B)
        assert looker.most_together == 2
        looker.hold.set()
        await looker.times(4)

    assert sorted(looker.seen) == [A, A, B, B]


async def test_a_look_says_when_the_next_one_is_due() -> None:
    looker = Looker(again=timedelta(milliseconds=2))
    rounds = Rounds(looker.look, SystemClock(), rhythm=QUICK)
    async with EternalTasks() as tasks:
        for number in range(3):
            tasks.spawn(f"worker-{number}", rounds.work())
        rounds.concerns(A)
        await looker.times(4)


async def test_a_look_that_fails_is_tried_again_and_stops_no_other() -> None:
    looker = Looker()
    looker.fails = 3
    rounds = Rounds(looker.look, SystemClock(), rhythm=QUICK)
    async with EternalTasks() as tasks:
        for number in range(3):
            tasks.spawn(f"worker-{number}", rounds.work())
        rounds.concerns(A)
        await looker.times(4)
        rounds.concerns(B)
        await looker.times(5)

    assert looker.seen == [A, A, A, A, B]


async def test_a_look_that_hangs_is_a_lag() -> None:
    looker = Looker()
    looker.hold.clear()
    rounds = Rounds(looker.look, SystemClock(), rhythm=QUICK)
    async with EternalTasks() as tasks:
        for number in range(3):
            tasks.spawn(f"worker-{number}", rounds.work())
        rounds.concerns(A)
        await looker.times(1)
        first = rounds.lag
        await asyncio.sleep(0.01)
        assert rounds.lag > first
        looker.hold.set()
