"""What the operator hears of bookings and audiences, over a real NATS."""

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from odeon.bookings.v1 import bookings_pb2
from odeon.events.v1 import events_pb2
from odeon_operator.adapters.bookings import EdgeAudiences, KvBookings
from odeon_operator.domain.projecting import BookingFact
from odeon_runtime import subjects
from odeon_runtime.bookings import Bookings
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.tasks import EternalTasks
from odeon_testkit import wait
from odeon_testkit.fleet import ManualClock
from odeon_testkit.nats import NatsServer

START = datetime(2031, 5, 4, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)


@asynccontextmanager
async def following(bus: Bus) -> AsyncIterator[KvBookings]:
    heard = KvBookings(bus, lambda: None)
    async with EternalTasks() as tasks:
        tasks.spawn("bookings", heard.follow())
        yield heard


def gala(**fields: object) -> bookings_pb2.Booking:
    booking = bookings_pb2.Booking(tenant_id="acme", event_id="gala", **fields)  # type: ignore[arg-type]
    booking.schedule_time.FromDatetime(START)
    booking.schedule_end_time.FromDatetime(START + HOUR)
    return booking


async def until(holds: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return holds()

    await wait.until(asked, timeout_s=20)


async def test_a_booking_is_heard_as_it_is_told_and_what_makes_no_sense_is_not(bus: Bus) -> None:
    bookings = Bookings(bus)
    jobs = [bookings_pb2.Transcodes(profile="hd", count=1)]
    await bookings.put(gala(expected_transcodes=jobs, running_transcodes=jobs), after=0)
    await bookings.put(bookings_pb2.Booking(tenant_id="acme", event_id="never"), after=0)

    async with following(bus) as heard:
        await until(lambda: heard.running("acme.gala") == {"hd": 1})
        (fact,) = heard.facts()
        assert fact == BookingFact(
            "acme", "gala", START, START + HOUR, expected=(("hd", 1),), running=(("hd", 1),)
        )
        assert heard.running("acme.other") is None

        await bookings.remove(("acme", "gala"))
        await until(lambda: not heard.facts())


async def test_what_was_heard_stays_without_nats_but_what_runs_is_not_known(
    nats: NatsServer, bus: Bus
) -> None:
    await Bookings(bus).put(gala(), after=0)
    async with following(bus) as heard:
        await until(lambda: heard.running("acme.gala") == {})

        nats.stop()
        await until(lambda: heard.running("acme.gala") is None)
        assert len(heard.facts()) == 1
        shutil.rmtree(nats.directory / "store")
        nats.start()

        await until(lambda: heard.running("acme.gala") == {})
        assert len(heard.facts()) == 1


async def test_viewers_of_an_event_are_those_of_all_edges_that_are_heard_of(bus: Bus) -> None:
    clock = ManualClock()
    audiences = EdgeAudiences(bus, clock)
    await audiences.start()
    assert audiences.viewers("acme.gala") is None

    def tell(edge: str, viewers: int) -> None:
        one = events_pb2.EdgeEventLoad(tenant_id="acme", event_id="gala", viewers=viewers)
        load = events_pb2.EdgeLoadReported(edge=edge, events=[one])
        subject = subjects.load("edge.load.reported", edge)
        bus.publish(subject, envelope("system", edge_load_reported=load), durable=False)

    def seen() -> int | None:
        # Both go on telling, as edges do.
        tell("e1", 30)
        tell("e2", 12)
        clock.advance(1)
        return audiences.viewers("acme.gala")

    await until(lambda: seen() == 42)
    assert audiences.viewers("acme.other") == 0
    clock.advance(6)
    assert audiences.viewers("acme.gala") is None
