"""The bucket of bookings on a real NATS."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from odeon.bookings.v1 import bookings_pb2 as pb
from odeon_runtime.bookings import BUCKET, Bookings, Told, written
from odeon_runtime.bus import Bus
from odeon_runtime.kv import Bucket, Superseded
from odeon_testkit.nats import nats_server

KEY = ("acme", "gala")


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    with nats_server() as server:
        async with Bus(server.url, name="test") as bus:
            await bus.connected.wait()
            yield bus


def gala(viewers: int) -> pb.Booking:
    return pb.Booking(tenant_id="acme", event_id="gala", expected_viewers=viewers)


async def test_of_two_that_read_the_same_the_second_to_write_is_told_so(bus: Bus) -> None:
    bookings = Bookings(bus)
    first = await bookings.put(gala(1), after=0)

    with pytest.raises(Superseded):
        await bookings.put(gala(2), after=0)
    second = await bookings.put(gala(3), after=first)
    with pytest.raises(Superseded):
        await bookings.put(gala(4), after=first)

    assert await bookings.of(KEY) == Told(KEY, gala(3), written(gala(3)), second)


async def test_what_cannot_be_read_or_lies_under_anothers_key_is_no_booking(bus: Bus) -> None:
    raw, bookings = Bucket(bus, BUCKET), Bookings(bus)
    await raw.put("acme.gala", b"\xff\xff")
    await raw.put("other.gala", written(gala(1)))

    heard = []
    async with aclosing(bookings.watch()) as telling:
        async for told in telling:
            if not isinstance(told, Told):
                break
            heard.append((told.key, told.booking, told.raw is None))

    assert heard == [(KEY, None, False), (("other", "gala"), None, False)]
