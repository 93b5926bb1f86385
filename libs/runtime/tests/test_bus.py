"""The bus against a real nats-server that comes and goes."""

import asyncio
import json
from collections.abc import Iterator

import nats
import pytest
import structlog.testing
from nats.aio.msg import Msg
from odeon.events.v1 import events_pb2
from odeon_runtime import outbox, subjects
from odeon_runtime.bus import Bus, Offer, envelope
from odeon_runtime.puller import Puller
from odeon_runtime.telemetry import context_of
from odeon_runtime.trust import TrustStore, follow_bus
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.wait import until
from opentelemetry.sdk.trace import TracerProvider
from prometheus_client import REGISTRY


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

        async def is_empty() -> bool:
            return bus.waiting == 0

        await until(is_empty)

    names = [fact.event_state_changed.event_id for fact in facts]
    assert names == ["before", *(f"away-{number}" for number in range(20))]


async def test_publishing_never_waits_for_a_server_that_was_never_there() -> None:
    async with Bus("nats://127.0.0.1:9", name="test") as bus:
        for number in range(100):
            bus.publish(*started(f"ev-{number}"))

        assert bus.waiting == 100


def heavy(size: int) -> tuple[str, events_pb2.Envelope]:
    change = events_pb2.EventStateChanged(event_id="e" * size)
    return subjects.fact("room.event.started", "acme", "heavy"), envelope(
        "acme", event_state_changed=change
    )


def load(node: str, sessions: int = 0) -> tuple[str, events_pb2.Envelope]:
    report = events_pb2.NodeLoadReported(node=node, sessions=sessions)
    return subjects.load("signaling.node.reported", node), envelope(
        "system", node_load_reported=report
    )


async def test_a_full_outbox_drops_new_facts_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_LIMIT", 3)
    dropped = metric("odeon_bus_dropped_facts_total")

    async with Bus("", name="test") as bus:
        for event in ("a", "b", "c"):
            bus.publish(*started(event))
        bus.publish(*load("n1"), durable=False)
        assert (bus.waiting, bus.dropped) == (4, 0)
        bus.publish(*started("d"))
        assert (bus.waiting, bus.dropped) == (4, 1)

    assert metric("odeon_bus_dropped_facts_total") == dropped + 1


async def test_an_outbox_is_bounded_by_what_its_facts_weigh(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(outbox, "OUTBOX_BYTES", 10_000)

    async with Bus("", name="test") as bus:
        for _ in range(5):
            bus.publish(*heavy(3000))
        assert (bus.waiting, bus.dropped) == (2, 3)
        assert metric("odeon_bus_outbox_facts") == 2
        assert 6_000 < metric("odeon_bus_outbox_bytes") <= 10_000


async def test_of_load_reports_that_wait_the_newest_is_kept(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    reports = await client.subscribe(subjects.ALL_LOAD)
    await client.flush()
    bus = Bus(server.url, name="test")
    for sessions in (1, 2, 3):
        bus.publish(*load("n1", sessions), durable=False)
    bus.publish(*load("n2", 9), durable=False)
    async with bus:
        heard = [events_pb2.Envelope.FromString((await reports.next_msg(10)).data) for _ in "ab"]
    await client.close()

    found = [(f.node_load_reported.node, f.node_load_reported.sessions) for f in heard]
    assert found == [("n1", 3), ("n2", 9)]


async def test_facts_that_cannot_be_stored_hold_back_no_load_report(server: NatsServer) -> None:
    client = await nats.connect(server.url)
    reports = await client.subscribe(subjects.ALL_LOAD)
    await client.flush()
    async with Bus(server.url, name="test") as bus:
        bus.publish(*started("before-there-is-a-stream"))
        bus.publish(*load("n1"), durable=False)

        assert await reports.next_msg(10)
        assert bus.waiting == 1
    await client.close()


async def test_a_fact_that_is_refused_for_good_is_put_aside_and_the_next_ones_go_on(
    server: NatsServer,
) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        bus.publish(*heavy(2 << 20))
        subject, fact = started("after")
        bus.publish(subject, fact)
        (found,) = await stored(server.url, 1)
        letter = await dead_letter(server.url)

    assert found == fact
    assert letter["Odeon-Reason"] == "REFUSED"
    assert letter["Odeon-Subject"] == "odeon.evt.room.event.started.v1.acme.heavy"
    assert "MaxPayload" in letter["Odeon-Error"]
    assert int(letter["Odeon-Size"]) > 2 << 20


async def dead_letter(url: str) -> dict[str, str]:
    """Headers of the first letter of the stream of dead letters."""
    client = await nats.connect(url)
    subscription = await client.jetstream().subscribe(subjects.DEAD_LETTERS, ordered_consumer=True)
    letter = await subscription.next_msg(20)
    await client.close()
    return dict(letter.headers or {})


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_metrics_say_whether_nats_answers(server: NatsServer) -> None:
    async def is_connected() -> bool:
        return metric("odeon_bus_connected") == 1

    async def is_away() -> bool:
        return metric("odeon_bus_connected") == 0

    async with Bus(server.url, name="test") as bus:
        await until(is_connected)
        server.stop()
        await until(is_away)
        bus.publish(*started("a"))
        assert metric("odeon_bus_outbox_facts") == 1
        server.start()
        await until(is_connected)


async def test_work_that_fails_by_itself_is_tried_five_times_and_then_put_aside(
    server: NatsServer,
) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    subject, poison = job(1)
    tries = 0
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        with (
            TracerProvider()  # not the process's: that can be set once, and other tests do
            .get_tracer("t")
            .start_as_current_span("offer", context_of(trace))
        ):
            await bus.publish_now(subject, poison)
        puller = workers(bus)
        while (offer := await puller.next(wait_s=1)) is not None:
            tries += 1
            await offer.failed(ValueError("no\r\nway"), delay_s=0.01)
        await bus.publish_now(*job(2))
        other = await puller.next(wait_s=5)
        letter = await dead_letter(server.url)

    assert tries == 5
    assert other is not None
    assert other.fact.job_offered.job_id == "job-2"
    assert letter["Odeon-Reason"] == "FAILED"
    assert letter["Odeon-Error"] == "ValueError: no way"
    assert letter["Odeon-Subject"] == subject
    assert letter["Odeon-Deliveries"] == "5"
    assert letter["traceparent"].split("-")[1] == trace.split("-")[1]


async def test_work_that_is_given_back_is_never_put_aside(server: NatsServer) -> None:
    async with Bus(server.url, name="test") as bus:
        await bus.ensure_streams()
        await bus.publish_now(*job(1))
        puller = workers(bus)
        for _ in range(8):
            offer = await puller.next(wait_s=5)
            assert offer is not None
            await offer.again()


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
