"""What room tells of bookings, on a real NATS: all of it, always, whoever comes when."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.bookings.v1 import bookings_pb2
from odeon.room.v1 import room_pb2 as pb
from odeon_room.settings import RoomSettings
from odeon_runtime.bookings import Bookings, Key
from odeon_runtime.bus import Bus
from odeon_runtime.kv import Mark
from odeon_testkit.callers import eventually
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.room_peers import RoomApi

RunRoom = Callable[[RoomSettings], AbstractAsyncContextManager[RoomApi]]
States = bookings_pb2.Booking.State
START = datetime(2031, 5, 4, 14, tzinfo=UTC)


def at(minutes: float = 0) -> Timestamp:
    moment = Timestamp()
    moment.FromDatetime(START + timedelta(minutes=minutes))
    return moment


class Board:
    """Somebody who came just now and looks at the bucket."""

    def __init__(self, bus: Bus) -> None:
        self._bookings = Bookings(bus)

    async def all(self) -> dict[Key, bookings_pb2.Booking]:
        found: dict[Key, bookings_pb2.Booking] = {}
        async with aclosing(self._bookings.watch()) as telling:
            async for told in telling:
                if told is Mark.CURRENT:
                    return found
                if not isinstance(told, Mark) and told.booking is not None:
                    found[told.key] = told.booking
        raise AssertionError("a watch does not end")

    async def until(
        self, holds: Callable[[bookings_pb2.Booking], bool], event: str = "gala"
    ) -> bookings_pb2.Booking:
        found = bookings_pb2.Booking()

        async def told() -> bool:
            found.CopyFrom((await self.all()).get(("acme", event), bookings_pb2.Booking()))
            return found.event_id == event and holds(found)

        await eventually(told, within_s=20)
        return found


@asynccontextmanager
async def board(server: NatsServer) -> AsyncIterator[Board]:
    async with Bus(server.url, name="somebody") as bus:
        await bus.connected.wait()
        yield Board(bus)


async def test_a_booking_is_told_as_it_stands_from_its_making_to_its_end(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        own = settings.model_copy(update={"nats_url": server.url})
        async with run_room(own) as room, board(server) as told:
            owner, name = room.owner().metadata, "events/gala"
            await room.event(
                "gala", "SCHEDULED", schedule_time=at(), registrations=90, profile="hd"
            )
            await room.event("spontaneous")
            made = await told.until(lambda b: b.state == States.STATE_SCHEDULED)
            assert made.schedule_end_time.ToDatetime(UTC) == START + timedelta(hours=2)
            assert (made.expected_viewers, made.registrations) == (45, 90)
            assert [(t.profile, t.count) for t in made.expected_transcodes] == [("hd", 1)]

            changed = pb.Event(name=name, schedule_time=at(5), schedule_end_time=at(65))
            mask = FieldMask(paths=["schedule_time", "schedule_end_time"])
            await room.stub.UpdateEvent(
                pb.UpdateEventRequest(event=changed, update_mask=mask), metadata=owner
            )
            moved = await told.until(lambda b: b.schedule_time == at(5))
            assert moved.schedule_end_time == at(65)

            await room.stub.StartEvent(pb.StartEventRequest(name=name), metadata=owner)
            await told.until(lambda b: b.HasField("start_time") and not b.running_transcodes)
            await room.node("n1")
            (offered,) = [j for j in await room.jobs() if j.profile == "hd"]
            await room.claim(offered.name)
            running = await told.until(lambda b: bool(b.running_transcodes))
            assert [(t.profile, t.count) for t in running.running_transcodes] == [("hd", 1)]

            await room.stub.EndEvent(pb.EndEventRequest(name=name), metadata=owner)
            over = await told.until(lambda b: b.state == States.STATE_ENDED)
            assert over.HasField("end_time")
            assert not over.running_transcodes
            assert set(await told.all()) == {("acme", "gala")}


async def test_what_is_cancelled_is_told_and_what_is_planned_no_more_goes(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        own = settings.model_copy(update={"nats_url": server.url})
        async with run_room(own) as room, board(server) as told:
            owner = room.owner().metadata
            for event in ("gala", "other"):
                await room.event(event, "SCHEDULED", schedule_time=at())
            await room.stub.EndEvent(pb.EndEventRequest(name="events/gala"), metadata=owner)
            await told.until(lambda b: b.state == States.STATE_CANCELLED)
            await told.until(lambda b: b.state == States.STATE_SCHEDULED, "other")

            unplanned = pb.UpdateEventRequest(
                event=pb.Event(name="events/other"), update_mask=FieldMask(paths=["schedule_time"])
            )
            await room.stub.UpdateEvent(unplanned, metadata=owner)

            async def gone() -> bool:
                return set(await told.all()) == {("acme", "gala")}

            await eventually(gone, within_s=20)


async def test_nothing_is_lost_while_nats_is_away_or_when_it_comes_back_without_its_disk(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        own = settings.model_copy(update={"nats_url": server.url})
        async with run_room(own) as room:
            await room.event("e0", "SCHEDULED", schedule_time=at())
            async with board(server) as told:
                await told.until(lambda b: True, "e0")
            server.stop()
            await room.event("e1", "SCHEDULED", schedule_time=at())
            shutil.rmtree(server.directory / "store")
            server.start()

            async with board(server) as told:
                for event in ("e0", "e1"):
                    await told.until(lambda b: b.state == States.STATE_SCHEDULED, event)


async def test_what_an_instance_did_not_come_to_tell_the_next_one_tells(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        async with run_room(settings) as room:  # knows of no NATS
            await room.event("gala", "SCHEDULED", schedule_time=at())

        own = settings.model_copy(update={"nats_url": server.url})
        async with run_room(own), board(server) as told:
            await told.until(lambda b: b.schedule_time == at())


async def test_two_instances_that_tell_at_once_leave_what_the_database_says(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        own = settings.model_copy(update={"nats_url": server.url})
        async with run_room(own) as one, run_room(own) as two, board(server) as told:
            for event in range(8):
                await one.event(f"e{event}", "SCHEDULED", schedule_time=at())

            async def expect(room: RoomApi, event: int, viewers: int) -> None:
                changed = pb.Event(name=f"events/e{event}", expected_viewers=viewers)
                request = pb.UpdateEventRequest(
                    event=changed, update_mask=FieldMask(paths=["expected_viewers"])
                )
                await room.stub.UpdateEvent(request, metadata=room.owner().metadata)

            for viewers in (1, 3, 5):
                await asyncio.gather(
                    *(expect(one, event, viewers) for event in range(8)),
                    *(expect(two, event, viewers + 1) for event in range(8)),
                )
            stands = {
                e.name: e.expected_viewers
                for e in (
                    await one.stub.ListEvents(pb.ListEventsRequest(), metadata=one.owner().metadata)
                ).events
            }

            async def equal() -> bool:
                found = await told.all()
                return {f"events/{k[1]}": b.expected_viewers for k, b in found.items()} == stands

            await eventually(equal, within_s=20)
