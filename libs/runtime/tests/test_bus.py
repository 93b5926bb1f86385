"""The bus against a real nats-server that comes and goes."""

import asyncio
import json
from collections.abc import Iterator

import nats
import pytest
import structlog.testing
from nats.aio.msg import Msg
from odeon.events.v1 import events_pb2
from odeon_runtime import bus as bus_module
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, Offer, Puller, envelope
from odeon_runtime.trust import TrustStore, follow_bus
from odeon_testkit.nats import NatsServer, nats_server


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def started(event: str) -> tuple[str, events_pb2.Envelope]:
    fact = envelope("acme", event_state_changed=events_pb2.EventStateChanged(event_id=event))
    return subjects.fact("room.event.started", "acme", event), fact


async def stored(url: str, count: int) -> list[events_pb2.Envelope]:
    """Everything in the stream of facts once it holds `count` messages."""
    client = await nats.connect(url)
    subscription = await client.jetstream().subscribe(subjects.ALL_FACTS, ordered_consumer=True)
    async with asyncio.timeout(20):
        facts = [
            events_pb2.Envelope.FromString((await subscription.next_msg(20)).data)
            for _ in range(count)
        ]
    await client.close()
    return facts


async def test_a_fact_published_is_stored_with_its_id(server: NatsServer) -> None:
    subject, fact = started("ev-1")

    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        bus.publish(subject, fact)
        (found,) = await stored(server.url, 1)

    assert found == fact


async def test_no_fact_is_lost_or_doubled_while_the_server_is_away(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        bus.publish(*started("before"))
        await stored(server.url, 1)
        server.stop()
        for number in range(20):
            bus.publish(*started(f"away-{number}"))
        server.start()

        facts = await stored(server.url, 21)
        waiting = bus.waiting

    names = [fact.event_state_changed.event_id for fact in facts]
    assert names == ["before", *(f"away-{number}" for number in range(20))]
    assert waiting == 0


async def test_publishing_never_waits_for_a_server_that_was_never_there() -> None:
    async with Bus("nats://127.0.0.1:9", name="test") as bus:
        for number in range(100):
            bus.publish(*started(f"ev-{number}"))

        assert bus.waiting == 100


async def test_a_full_outbox_gives_up_load_reports_before_facts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bus_module, "OUTBOX_LIMIT", 3)
    load = envelope("system", node_load_reported=events_pb2.NodeLoadReported(node="n1"))

    async with Bus("", name="test") as bus:
        bus.publish(*started("a"))
        bus.publish(subjects.load("signaling.node.reported", "n1"), load, durable=False)
        bus.publish(*started("b"))
        bus.publish(*started("c"))

        assert (bus.waiting, bus.dropped) == (3, 0)
        bus.publish(*started("d"))
        assert (bus.waiting, bus.dropped) == (3, 1)


def job(number: int) -> tuple[str, events_pb2.Envelope]:
    offer = envelope("acme", job_offered=events_pb2.JobOffered(job_id=f"job-{number}"))
    return subjects.work("transcoder.job.offer", "acme", f"job-{number}"), offer


def workers(bus: Bus) -> Puller:
    return bus.puller(subjects.WORK_STREAM, "workers", subjects.JOB_OFFERS)


async def test_work_is_delivered_until_it_is_done(server: NatsServer) -> None:
    subject, offer = job(1)

    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        await bus.publish_now(subject, offer)
        puller = workers(bus)
        first = await puller.next(wait_s=5)
        assert first is not None
        await first.again()
        second = await puller.next(wait_s=5)
        assert second is not None
        await second.done()
        third = await puller.next(wait_s=0.3)

    assert first.fact == second.fact == offer
    assert third is None


async def test_waiting_again_asks_nothing_of_the_server_but_messages(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    asked: asyncio.Queue[str] = asyncio.Queue()

    async def audit(message: Msg) -> None:
        asked.put_nowait(json.loads(message.data)["subject"])

    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        puller = workers(bus)
        assert await puller.next(wait_s=0.1) is None
        # JetStream tells about every request to its API here, but for those for messages.
        await client.subscribe("$JS.EVENT.ADVISORY.API", cb=audit)
        await client.flush()
        for _ in range(5):
            assert await puller.next(wait_s=0.1) is None
        await bus.publish_now(*job(1))
        offer = await puller.next(wait_s=5)
        await client.jetstream().account_info()
        first_asked = await asyncio.wait_for(asked.get(), 10)
    await client.close()

    assert offer is not None
    assert first_asked == "$JS.API.INFO"


async def test_two_who_wait_get_different_work(server: NatsServer) -> None:
    async with Bus(server.url, name="a") as one, Bus(server.url, name="b") as other:
        await one.ensure_streams()
        waits = [asyncio.create_task(workers(bus).next(wait_s=10)) for bus in (one, other)]
        await one.publish_now(*job(1))
        await one.publish_now(*job(2))
        offers = await asyncio.gather(*waits)

    found = {offer.fact.job_offered.job_id for offer in offers if offer is not None}
    assert found == {"job-1", "job-2"}


async def test_a_batch_is_what_is_there_and_goes_on_with_what_comes(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        for number in range(5):
            await bus.publish_now(*job(number))
        puller = workers(bus)
        found: list[str] = []
        while len(found) < 5:
            batch = await puller.batch(3, wait_s=10)
            assert 1 <= len(batch) <= 3
            found += [offer.fact.job_offered.job_id for offer in batch]
            for offer in batch:
                await offer.done()
        late = asyncio.create_task(puller.batch(3, wait_s=10))
        await bus.publish_now(*job(5))
        (last,) = await asyncio.wait_for(late, 5)

    assert found == [f"job-{number}" for number in range(5)]
    assert last.fact.job_offered.job_id == "job-5"


async def test_a_wait_that_outlives_the_server_goes_on_when_it_is_back(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        puller = workers(bus)
        assert await puller.next(wait_s=0.1) is None
        waiting = asyncio.create_task(next_offer(puller))
        await asyncio.sleep(0)
        server.stop()
        server.start()
        bus.publish(*job(1))
        offer = await asyncio.wait_for(waiting, 10)

    assert offer.fact.job_offered.job_id == "job-1"


async def test_a_deleted_consumer_is_made_again(server: NatsServer) -> None:
    client = await nats.connect(server.url)

    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        puller = workers(bus)
        assert await puller.next(wait_s=0.1) is None
        waiting = asyncio.create_task(next_offer(puller))
        await client.jetstream().delete_consumer(subjects.WORK_STREAM, "workers")
        await bus.publish_now(*job(1))
        offer = await asyncio.wait_for(waiting, 10)
    await client.close()

    assert offer.fact.job_offered.job_id == "job-1"


async def test_a_stream_that_does_not_exist_yet_is_awaited_with_one_line(
    server: NatsServer,
) -> None:
    with structlog.testing.capture_logs() as lines:
        async with Bus(server.url, name="test") as bus:
            puller = workers(bus)
            for _ in range(4):
                assert await puller.next(wait_s=1) is None
            await bus.ensure_streams()
            await bus.publish_now(*job(1))
            offer = await puller.next(wait_s=5)

    assert offer is not None
    assert [line["event"] for line in lines if "stream" in line] == ["stream_awaited"]


async def next_offer(puller: Puller) -> Offer:
    while True:
        if (offer := await puller.next(wait_s=30)) is not None:
            return offer


async def test_a_revocation_heard_on_the_bus_reaches_the_trust_store(server: NatsServer) -> None:
    store = TrustStore()
    heard = asyncio.Event()
    store.on_revoked(lambda _tenant, _sid: heard.set())
    fact = envelope("acme", session_revoked=events_pb2.SessionRevoked(session_id="s1"))

    async with Bus(server.url, name="a") as sender, Bus(server.url, name="b") as receiver:
        await follow_bus(store, receiver)
        await receiver.ensure_streams()
        sender.publish(subjects.fact("auth.session.revoked", "acme", "s1"), fact)
        await asyncio.wait_for(heard.wait(), 10)

    assert store.is_revoked("acme", "s1")


async def test_an_unreadable_message_goes_to_the_dead_letters(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    letters = await client.subscribe(subjects.DEAD_LETTERS)

    async def nobody(_subject: str, _fact: events_pb2.Envelope) -> None:
        raise AssertionError("an unreadable message must not be handled")

    async with Bus(server.url, name="test") as bus:
        await bus.subscribe("odeon.evt.x", nobody)
        await bus.ensure_streams()
        await client.publish("odeon.evt.x", b"\xff\xff\xff")
        letter = await letters.next_msg(10)
    await client.close()

    assert letter.headers is not None
    assert letter.headers["Odeon-Reason"] == "UNREADABLE"


@pytest.mark.parametrize("text", ["", "odeon.evt.a.b.c.v2.t.i", "other.evt.a.b.c.v1.t.i", "a.b"])
def test_a_subject_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="subject"):
        subjects.Subject.parse(text)


def test_a_subject_is_taken_apart_as_it_was_built() -> None:
    parsed = subjects.Subject.parse(subjects.fact("room.event.started", "acme", "ev-1"))

    assert (parsed.service, parsed.noun, parsed.verb) == ("room", "event", "started")
    assert (parsed.tenant, parsed.id) == ("acme", "ev-1")
