"""Announcements as Events: each once, repetitions counted, and never too many."""

from datetime import datetime, timedelta

import pytest
from odeon_operator.domain.announcements import Announcement
from odeon_operator.ports import PoolFacts, PoolRef, Unreachable
from odeon_operator.usecases.announcing import BURST, QUEUE, REFILL, SERIES_FOR, Announcer
from odeon_testkit.fleet import HeldLease, ManualClock

POOL = PoolFacts(PoolRef("TranscoderPool", "live", "main"), "uid", 1, None, None)
SCALED = Announcement("ScaledOut", "Scale", "wants 3")


class Written:
    """Events in memory; implements `announcing.Events`."""

    def __init__(self) -> None:
        self.created: list[Announcement] = []
        self.repeated: list[tuple[str, int]] = []
        self.away = False

    async def create(self, pool: PoolFacts, told: Announcement, at: datetime) -> str:
        if self.away:
            raise Unreachable("away")
        self.created.append(told)
        return f"event-{len(self.created)}"

    async def repeat(self, pool: PoolFacts, name: str, count: int, at: datetime) -> None:
        self.repeated.append((name, count))


class Told:
    def __init__(self) -> None:
        self.clock, self.lease, self.events = ManualClock(), HeldLease(), Written()
        self.announcer = Announcer(self.events, self.lease, self.clock)

    async def tell(self, told: Announcement = SCALED, *, after: timedelta = timedelta(0)) -> None:
        self.clock.advance(after.total_seconds())
        await self.announcer.tell(POOL, told)


@pytest.fixture
def told() -> Told:
    return Told()


async def test_a_repetition_is_counted_and_written_once_a_minute(told: Told) -> None:
    await told.tell()
    for _ in range(130):
        await told.tell(after=timedelta(seconds=1))

    assert len(told.events.created) == 1
    assert told.events.repeated == [("event-1", 61), ("event-1", 121)]


async def test_after_a_while_it_is_news_again(told: Told) -> None:
    await told.tell()

    await told.tell(after=SERIES_FOR)

    assert len(told.events.created) == 2


async def test_a_pool_that_tells_ever_new_things_is_cut_short(told: Told) -> None:
    for number in range(3 * BURST):
        await told.tell(Announcement(f"Reason{number}", "Scale", ""))
    assert len(told.events.created) == BURST

    await told.tell(Announcement("Late", "Scale", ""), after=REFILL)

    assert told.events.created[-1].reason == "Late"


async def test_what_could_not_be_written_is_told_the_next_time(told: Told) -> None:
    told.events.away = True
    await told.tell()
    told.events.away = False

    await told.tell(after=timedelta(seconds=1))

    assert len(told.events.created) == 1


async def test_without_the_lease_nothing_is_written(told: Told) -> None:
    told.lease.held = False

    await told.tell()

    assert told.events.created == []


async def test_looks_never_wait_for_events(told: Told) -> None:
    for _ in range(QUEUE + 9):
        told.announcer.announce(POOL, (SCALED,))

    assert told.events.created == []
