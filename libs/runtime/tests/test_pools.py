"""The two buckets on a real nats-server: what is known, and what is merely not heard."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import TypeVar

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from nats.js.api import StorageType
from odeon.pools.v1 import pools_pb2
from odeon_runtime.bus import Bus
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.kv import Bucket, BucketUnknown, Mark
from odeon_runtime.pools import Drain, Drains, Reports, StoredReport
from odeon_testkit.nats import NatsServer, nats_server

T = TypeVar("T")
WITHIN_S = 20.0  # each waits for far less; the machine may be busy


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


@pytest.fixture
async def bus(server: NatsServer) -> AsyncIterator[Bus]:
    async with Bus(server.url, name="test") as made:
        await asyncio.wait_for(made.connected.wait(), WITHIN_S)
        yield made


def record(second: int) -> pools_pb2.DrainRecord:
    return pools_pb2.DrainRecord(
        ask_time=Timestamp(seconds=second, nanos=7), reason="SCALE_IN", asked_by="operator-0"
    )


def report(uid: str, *, sessions: int = 0) -> pools_pb2.PodReport:
    return pools_pb2.PodReport(pool="cpu", pod="cpu-0", pod_uid=uid, sessions=sessions)


async def told(watch: AsyncGenerator[T, None], count: int) -> list[T]:
    async with asyncio.timeout(WITHIN_S):
        return [await anext(watch) for _ in range(count)]


async def test_a_drain_is_read_as_it_was_asked_until_it_is_withdrawn(bus: Bus) -> None:
    drains = Drains(bus)
    assert await drains.of("uid-0") is None

    await drains.ask("uid-0", record(5))

    asked = await drains.of("uid-0")
    assert asked is not None
    assert asked.record == record(5)
    assert await drains.of("uid-1") is None
    await drains.withdraw("uid-0")
    withdrawn = await drains.of("uid-0")
    assert withdrawn == Drain("uid-0", None, asked.revision + 1)


async def test_a_watch_tells_what_stands_then_that_it_is_all_and_then_what_changes(
    bus: Bus,
) -> None:
    drains = Drains(bus)
    await drains.ask("uid-0", record(1))
    await drains.ask("uid-1", record(2))
    await drains.ask("uid-0", record(3))

    async with aclosing(drains.watch()) as watch:
        assert await told(watch, 3) == [
            Drain("uid-1", record(2), 2),
            Drain("uid-0", record(3), 3),
            Mark.CURRENT,
        ]
        await drains.withdraw("uid-1")
        await drains.ask("uid-2", record(4))
        assert await told(watch, 2) == [
            Drain("uid-1", None, 4),
            Drain("uid-2", record(4), 5),
        ]


async def test_a_pods_watch_of_an_empty_bucket_says_at_once_that_there_is_nothing(
    bus: Bus,
) -> None:
    drains = Drains(bus)

    async with aclosing(drains.watch("uid-0")) as watch:
        assert await told(watch, 1) == [Mark.CURRENT]
        await drains.ask("uid-1", record(1))
        await drains.ask("uid-0", record(2))
        assert await told(watch, 1) == [Drain("uid-0", record(2), 2)]


async def test_without_nats_nothing_reads_as_no_drain(server: NatsServer, bus: Bus) -> None:
    drains = Drains(bus)
    await drains.ask("uid-0", record(1))
    async with aclosing(drains.watch("uid-0")) as watch:
        await told(watch, 2)

        server.stop(signal.SIGKILL)

        assert await told(watch, 1) == [Mark.UNKNOWN]
        with pytest.raises(BucketUnknown):
            await drains.of("uid-0")
        with pytest.raises(BucketUnknown):
            await drains.withdraw("uid-0")
        server.start()
        assert await told(watch, 2) == [Drain("uid-0", record(1), 1), Mark.CURRENT]


async def test_a_bus_that_never_reached_nats_knows_nothing() -> None:
    async with Bus("nats://127.0.0.1:9", name="test") as bus:
        with pytest.raises(BucketUnknown):
            await Drains(bus).of("uid-0")
        with pytest.raises(BucketUnknown):
            await Reports(bus).put(report("uid-0"))


async def test_a_record_without_its_time_is_refused_and_an_unreadable_one_still_stands(
    bus: Bus,
) -> None:
    drains = Drains(bus)
    with pytest.raises(InvalidArgument):
        await drains.ask("uid-0", pools_pb2.DrainRecord(reason="SCALE_IN"))
    assert await drains.of("uid-0") is None

    await bus.client.jetstream().publish("$KV.odeon_pool_drains.uid-0", b"\xff\xff")

    found = await drains.of("uid-0")
    assert found is not None
    assert found.record == pools_pb2.DrainRecord(), "it must forbid work all the same"


@pytest.mark.parametrize("uid", ["", "*", ">", "a.b", "a b", "x" * 81])
async def test_a_uid_that_would_name_other_keys_is_refused(bus: Bus, uid: str) -> None:
    with pytest.raises(InvalidArgument):
        await Drains(bus).of(uid)
    with pytest.raises(InvalidArgument):
        await Reports(bus).put(report(uid))


async def test_reports_are_heard_and_what_is_none_is_left_out(bus: Bus) -> None:
    reports = Reports(bus)
    await reports.put(report("uid-0", sessions=1))
    await reports.put(report("uid-0", sessions=2))

    async with aclosing(reports.watch()) as watch:
        first, mark = await told(watch, 2)
        assert isinstance(first, StoredReport)
        assert first.report == report("uid-0", sessions=2)
        assert mark is Mark.CURRENT
        jetstream = bus.client.jetstream()
        await jetstream.publish("$KV.odeon_pool_reports.uid-8", b"\xff\xff")
        # Somebody's report under another pod's key.
        await jetstream.publish("$KV.odeon_pool_reports.uid-9", report("uid-0").SerializeToString())
        await reports.put(report("uid-1"))
        (next_one,) = await told(watch, 1)
        assert isinstance(next_one, StoredReport)
        assert next_one.report == report("uid-1")


async def test_reports_live_fifteen_seconds_in_memory_and_drains_for_ever_on_disk(
    bus: Bus,
) -> None:
    await Reports(bus).put(report("uid-0"))
    await Drains(bus).ask("uid-0", record(1))
    jetstream = bus.client.jetstream()

    of_reports = (await jetstream.stream_info("KV_odeon_pool_reports")).config
    of_drains = (await jetstream.stream_info("KV_odeon_pool_drains")).config

    assert (of_reports.max_age, of_reports.storage) == (15, StorageType.MEMORY)
    assert (of_drains.max_age, of_drains.storage) == (0, StorageType.FILE)
    assert of_drains.allow_direct is False, "a follower that lags would read as no drain"


async def test_a_bucket_that_somebody_configured_otherwise_is_used_as_it_is(bus: Bus) -> None:
    # As an old "nats kv add" makes it: markers without an end.
    await bus.client.jetstream().add_stream(
        name="KV_odeon_pool_drains",
        subjects=["$KV.odeon_pool_drains.>"],
        max_msgs_per_subject=1,
        allow_rollup_hdrs=True,
    )
    drains = Drains(bus)

    await drains.ask("uid-0", record(1))

    found = await drains.of("uid-0")
    assert found is not None
    assert found.record == record(1)
    await drains.withdraw("uid-0")
    assert await drains.of("uid-0") == Drain("uid-0", None, 2)


async def test_a_watch_notices_that_its_bucket_was_deleted_and_makes_it_anew(bus: Bus) -> None:
    bucket = Bucket(bus, "odeon_test", heartbeat_s=0.2)
    await bucket.put("key", b"value")
    async with aclosing(bucket.watch()) as watch:
        await told(watch, 2)

        await bus.client.jetstream().delete_stream("KV_odeon_test")

        assert await told(watch, 2) == [Mark.UNKNOWN, Mark.CURRENT]
