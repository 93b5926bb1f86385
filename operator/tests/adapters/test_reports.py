"""What the operator relies on of what pods say, in memory and over a real NATS alike."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.pools.v1 import pools_pb2
from odeon_operator.adapters.clock import SystemClock
from odeon_operator.adapters.reports import KvReports
from odeon_operator.ports import Outdated, Reports, Unreachable
from odeon_runtime import pools
from odeon_runtime.bus import Bus
from odeon_runtime.tasks import end
from odeon_testkit import wait
from odeon_testkit.fleet import FleetAgent, FleetReports, Kv, ManualClock
from odeon_testkit.nats import NatsServer, nats_server

ASKED = datetime(2026, 5, 4, 12, 0, 0, 123456, tzinfo=UTC)


class Truth(Protocol):
    """Both buckets, two who read them, and a pod."""

    one: Reports
    two: Reports

    async def say(
        self, uid: str, *, run: int = 1, sessions: int = 0, obeys: datetime | None = None
    ) -> None:
        """A pod reports, and everybody hears it."""
        ...

    async def sync(self) -> None:
        """Everybody hears of every record."""
        ...

    async def leave(self) -> None:
        """NATS goes away, and everybody notices."""
        ...


class FleetTruth:
    def __init__(self) -> None:
        self.kv, self.clock = Kv(), ManualClock()
        self.seats = [FleetReports(self.kv, self.clock), FleetReports(self.kv, self.clock)]
        self.one: Reports = self.seats[0]
        self.two: Reports = self.seats[1]

    async def say(
        self, uid: str, *, run: int = 1, sessions: int = 0, obeys: datetime | None = None
    ) -> None:
        FleetAgent(uid, self.kv, self.clock, run, sessions, obeys=obeys).speak()
        await self.sync()

    async def sync(self) -> None:
        for seat in self.seats:
            seat.sync()

    async def leave(self) -> None:
        self.kv.away = True


class NatsTruth:
    def __init__(self, server: NatsServer, bus: Bus) -> None:
        self.server, self.bus = server, bus
        self.changed: list[str] = []
        self.seats = [
            KvReports(bus, identity=f"op-{n}", clock=SystemClock(), changed=self.changed.append)
            for n in (1, 2)
        ]
        self.one: Reports = self.seats[0]
        self.two: Reports = self.seats[1]
        self.tasks = [
            asyncio.create_task(work)
            for seat in self.seats
            for work in (seat.follow_reports(), seat.follow_drains())
        ]

    async def until_current(self, *, current: bool = True) -> None:
        async def holds() -> bool:
            return all(seat.current is current for seat in self.seats)

        await wait.until(holds)

    async def say(
        self, uid: str, *, run: int = 1, sessions: int = 0, obeys: datetime | None = None
    ) -> None:
        report = pools_pb2.PodReport(pod_uid=uid, run_id=str(run), sessions=sessions, ready=True)
        if obeys is not None:
            report.obeyed_drain_time.FromDatetime(obeys)
        before = [seat.readings(uid).latest for seat in self.seats]
        await pools.Reports(self.bus).put(report)

        async def heard() -> bool:
            return all(
                seat.readings(uid).latest is not old
                for seat, old in zip(self.seats, before, strict=True)
            )

        await wait.until(heard)

    async def sync(self) -> None:
        """A record of a pod that nobody asks about, written last, is heard last."""
        mark = f"mark-{len(self.changed)}-{datetime.now(UTC).timestamp()}".replace(".", "-")
        asked = Timestamp()
        asked.GetCurrentTime()
        drains = pools.Drains(self.bus)
        await drains.ask(mark, pools_pb2.DrainRecord(ask_time=asked))
        for there in (True, False):

            async def told(there: bool = there) -> bool:
                return all((seat.drain(mark) is not None) is there for seat in self.seats)

            await wait.until(told)
            if there:
                await drains.withdraw(mark)

    async def leave(self) -> None:
        self.server.stop()
        await self.until_current(current=False)


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


@pytest.fixture(params=["fleet", "nats"])
async def truth(request: pytest.FixtureRequest) -> AsyncIterator[Truth]:
    if request.param == "fleet":
        yield FleetTruth()
        return
    server = request.getfixturevalue("server")
    async with Bus(server.url, name="test") as bus:
        made = NatsTruth(server, bus)
        try:
            await made.until_current()
            yield made
        finally:
            await end(made.tasks)


async def test_a_drain_that_one_asks_for_is_known_to_it_at_once_and_to_others_later(
    truth: Truth,
) -> None:
    asked = await truth.one.ask_drain("a", asked=ASKED, reason="SCALE_IN")

    assert truth.one.drain("a") == asked
    assert asked.asked == ASKED
    await truth.sync()
    assert (seen := truth.two.drain("a")) is not None
    assert seen.asked == ASKED


async def test_asking_again_keeps_the_drain_that_stands(truth: Truth) -> None:
    await truth.one.ask_drain("a", asked=ASKED, reason="SCALE_IN")

    second = await truth.two.ask_drain("a", asked=ASKED + timedelta(seconds=9), reason="OTHER")

    assert second.asked == ASKED


async def test_a_drain_is_withdrawn_only_if_it_is_the_one_that_was_read(truth: Truth) -> None:
    first = await truth.one.ask_drain("a", asked=ASKED, reason="SCALE_IN")
    await truth.two.forget("a")
    later = await truth.two.ask_drain("a", asked=ASKED + timedelta(seconds=9), reason="SCALE_IN")

    assert not await truth.one.stands("a", first)
    with pytest.raises(Outdated):
        await truth.one.withdraw_drain("a", first)

    assert await truth.one.stands("a", later)
    await truth.one.withdraw_drain("a", later)
    assert truth.one.drain("a") is None
    await truth.sync()
    assert truth.two.drain("a") is None


async def test_a_hand_over_is_added_to_the_drain_that_stands_and_to_no_other(truth: Truth) -> None:
    record = await truth.one.ask_drain("p", asked=ASKED, reason="NODE_DRAIN")

    more = await truth.one.ask_hand_over("p", record)

    assert (more.asked, more.reason, more.hand_over) == (record.asked, record.reason, True)
    assert await truth.one.stands("p", more)
    assert truth.one.drain("p") == more
    await truth.one.withdraw_drain("p", more)
    with pytest.raises(Outdated):
        await truth.one.ask_hand_over("p", record)


async def test_the_last_two_readings_of_a_run_are_kept(truth: Truth) -> None:
    for sessions in (1, 2, 3):
        await truth.say("a", sessions=sessions)

    readings = truth.one.readings("a")
    assert readings.latest is not None
    assert readings.earlier is not None
    assert (readings.latest.report.sessions, readings.earlier.report.sessions) == (3, 2)


async def test_a_restarted_process_has_said_nothing_before(truth: Truth) -> None:
    await truth.say("a", run=1)
    await truth.say("a", run=2, sessions=1)

    readings = truth.two.readings("a")
    assert readings.latest is not None
    assert readings.latest.report.sessions == 1
    assert readings.earlier is None


async def test_a_report_names_the_drain_that_it_obeys(truth: Truth) -> None:
    record = await truth.one.ask_drain("a", asked=ASKED, reason="SCALE_IN")

    await truth.say("a", obeys=ASKED)

    latest = truth.one.readings("a").latest
    assert latest is not None
    assert latest.report.obeys == record.asked


async def test_records_of_pods_that_are_gone_are_orphans(truth: Truth) -> None:
    for uid in ("a", "b"):
        await truth.one.ask_drain(uid, asked=ASKED, reason="SCALE_IN")

    assert list(truth.one.orphans(["a"])) == ["b"]


async def test_while_nats_is_away_nothing_is_current_and_nothing_is_taken_for_stored(
    truth: Truth,
) -> None:
    record = await truth.one.ask_drain("a", asked=ASKED, reason="SCALE_IN")
    await truth.say("a", sessions=1)
    await truth.leave()

    assert not truth.one.current
    with pytest.raises(Unreachable):
        await truth.one.ask_drain("b", asked=ASKED, reason="SCALE_IN")
    with pytest.raises(Unreachable):
        await truth.one.stands("a", record)
    with pytest.raises(Unreachable):
        await truth.one.withdraw_drain("a", record)
    assert truth.one.drain("b") is None
    # What was said last still counts, and grows old.
    assert truth.one.readings("a").latest is not None
    assert truth.one.drain("a") == record


async def test_a_report_that_is_told_again_is_no_second_reading(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        truth = NatsTruth(server, bus)
        try:
            await truth.until_current()
            await truth.say("a")
            seat = truth.seats[0]
            again = [a async for a in _first(pools.Reports(bus))]

            seat._hear(again[0])

            assert seat.readings("a").earlier is None
        finally:
            await end(truth.tasks)


async def test_what_stood_before_the_watch_began_counts_as_old(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.connected.wait()
        report = pools_pb2.PodReport(pod_uid="a", run_id="1", sessions=2, ready=True)
        await pools.Reports(bus).put(report)
        truth = NatsTruth(server, bus)
        try:
            await truth.until_current()
            latest = truth.seats[0].readings("a").latest
            assert latest is not None
            age = datetime.now(UTC) - latest.report.at
            assert age >= timedelta(seconds=pools.REPORTS_TTL_S)
            assert latest.report.sessions == 2
        finally:
            await end(truth.tasks)


async def test_a_report_that_cannot_be_leaves_the_pod_as_it_was_known(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        truth = NatsTruth(server, bus)
        try:
            await truth.until_current()
            bad = pools_pb2.PodReport(pod_uid="a", run_id="1", sessions=-4, ready=True)
            await pools.Reports(bus).put(bad)
            await truth.say("b")
            assert truth.seats[0].readings("a").latest is None
        finally:
            await end(truth.tasks)


async def _first(reports: pools.Reports) -> AsyncIterator[pools.StoredReport]:
    async for told in reports.watch():
        if isinstance(told, pools.StoredReport):
            yield told
            return
