"""Beacons while the store is away."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from odeon.events.v1 import events_pb2
from odeon_analytics.adapters.sqlite import SqliteStore
from odeon_analytics.domain.beacons import Beacon, Kind
from odeon_analytics.facts import follow_facts
from odeon_analytics.intake import QUEUE_LIMIT, Intake, Overloaded, from_fact, to_fact
from odeon_analytics.ports import StoreUnavailable
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.tasks import EternalTasks
from odeon_testkit.nats import NatsServer
from odeon_testkit.wait import until

BEACON = Beacon(
    tenant="acme",
    event="away",
    session="s1",
    sequence=1,
    at_us=1_700_000_000_000_000,
    kind=Kind.HEARTBEAT,
    watched_ms=5_000,
    protocol="whep",
    rendition="v720",
)


class FlakyStore(SqliteStore):
    """SQLite on a disk that fails while `away`."""

    away = False

    async def add_beacons(self, beacons: Sequence[Beacon]) -> None:
        if self.away:
            raise StoreUnavailable("disk full")
        await super().add_beacons(beacons)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[FlakyStore]:
    async with FlakyStore(tmp_path / "a.db") as store:
        yield store


def test_a_beacon_survives_the_way_through_nats_unchanged() -> None:
    assert from_fact(to_fact(BEACON)) == BEACON
    assert to_fact(BEACON).id == to_fact(BEACON).id


async def test_beacons_wait_in_nats_while_the_store_is_away(
    nats: NatsServer, store: FlakyStore
) -> None:
    store.away = True
    async with Bus(nats.url, name="t") as bus, asyncio.TaskGroup() as tasks:
        await asyncio.wait_for(bus.connected.wait(), 10)
        await bus.ensure_streams()
        intake = Intake(store, bus, flush_s=0.01)
        running = [tasks.create_task(intake.write()), tasks.create_task(follow_facts(bus, store))]

        await asyncio.wait_for(intake.add([BEACON]), 20)
        assert (await store.sessions("acme", "away", now_us=BEACON.at_us)).seen == 0
        store.away = False

        async def arrived() -> bool:
            return (await store.sessions("acme", "away", now_us=BEACON.at_us)).watched_ms == 5_000

        await until(arrived, timeout_s=30)
        for task in running:
            task.cancel()


async def test_with_store_and_nats_away_the_sender_is_told(store: FlakyStore) -> None:
    store.away = True
    async with Bus("", name="t") as bus:
        intake = Intake(store, bus, flush_s=0.01)
        writer = asyncio.create_task(intake.write())

        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(intake.add([BEACON]), 10)
        store.away = False
        await asyncio.wait_for(intake.add([BEACON]), 10)

        writer.cancel()


async def test_more_than_the_queue_holds_is_refused_and_not_kept(store: FlakyStore) -> None:
    async with Bus("", name="t") as bus:
        intake = Intake(store, bus, flush_s=0.01)

        with pytest.raises(Overloaded):
            await intake.add([BEACON] * (QUEUE_LIMIT + 1))


async def test_a_fact_that_can_never_be_kept_ends_as_a_dead_letter_alone(
    nats: NatsServer, store: FlakyStore
) -> None:
    # No calendar has this year: the fact has no JSON to be kept as.
    poison = envelope("acme", session_revoked=events_pb2.SessionRevoked(session_id="s1"))
    poison.session_revoked.expire_time.seconds = 10**17
    good = envelope("acme", session_revoked=events_pb2.SessionRevoked(session_id="s2"))
    async with Bus(nats.url, name="t") as bus:
        await asyncio.wait_for(bus.connected.wait(), 10)
        await bus.ensure_streams()
        letters = await bus.client.subscribe(subjects.DEAD_LETTERS)
        for fact in (poison, good):
            bus.publish(
                subjects.fact("auth.session.revoked", "acme", fact.session_revoked.session_id), fact
            )
        async with EternalTasks() as tasks:
            tasks.spawn("facts", follow_facts(bus, store))
            letter = await letters.next_msg(30)

            async def nothing_left() -> bool:
                consumer = await bus.client.jetstream().consumer_info(
                    subjects.EVENT_STREAM, "analytics"
                )
                return (consumer.num_ack_pending, consumer.num_pending) == (0, 0)

            await until(nothing_left, timeout_s=20)

    assert letter.headers is not None
    assert letter.headers["Odeon-Reason"] == "FAILED"
    assert letter.headers["Nats-Msg-Id"].startswith("dead-ODEON_EVT-")
    assert letter.data == poison.SerializeToString()
