"""Jobs that wait, on a real JetStream."""

import asyncio
from collections.abc import Callable

from odeon.events.v1 import events_pb2
from odeon_operator.adapters.queue import OfferQueue
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.tasks import EternalTasks
from odeon_testkit import wait
from odeon_testkit.fleet import ManualClock
from odeon_testkit.nats import NatsServer


async def offer(bus: Bus, tenant: str, job: str) -> None:
    body = envelope(tenant, job_offered=events_pb2.JobOffered(job_id=job, slots=1))
    await bus.publish_now(subjects.work("transcoder.job.offer", tenant, job), body)


async def until(holds: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return holds()

    await wait.until(asked, timeout_s=20)


async def test_what_two_readings_have_seen_waits_until_somebody_takes_it(bus: Bus) -> None:
    heard = asyncio.Event()
    queue = OfferQueue(bus, ManualClock(), heard.set, every_s=0.05)
    assert queue.waiting() is None
    async with EternalTasks() as tasks:
        tasks.spawn("queue", queue.follow())
        await until(lambda: queue.waiting() == {})

        await bus.ensure_streams()
        for tenant, job in (("acme", "j1"), ("acme", "j2"), ("other", "j3")):
            await offer(bus, tenant, job)
            # Room repeats it until it is taken.
            await offer(bus, tenant, job)
        heard.clear()
        await until(lambda: queue.waiting() == {"acme": 2, "other": 1})
        assert heard.is_set()

        taken = await bus.puller(subjects.WORK_STREAM, "transcoders", subjects.JOB_OFFERS).next(
            wait_s=5
        )
        assert taken is not None
        # It is not done while somebody has it in hand.
        await taken.done()
        await until(lambda: sum((queue.waiting() or {}).values()) == 2)


async def test_an_offer_that_is_taken_at_once_never_waited(bus: Bus) -> None:
    await bus.ensure_streams()
    clock = ManualClock()
    queue = OfferQueue(bus, clock, lambda: None)

    await offer(bus, "acme", "j1")
    await queue.read()
    puller = bus.puller(subjects.WORK_STREAM, "transcoders", subjects.JOB_OFFERS)
    taken = await puller.next(wait_s=5)
    assert taken is not None
    await taken.done()
    await offer(bus, "acme", "j2")
    await queue.read()

    assert queue.waiting() == {}
    clock.advance(11)
    assert queue.waiting() is None


async def test_a_queue_that_cannot_be_read_is_not_an_empty_one(nats: NatsServer, bus: Bus) -> None:
    clock = ManualClock()
    queue = OfferQueue(bus, clock, lambda: None, every_s=0.05)
    async with EternalTasks() as tasks:
        tasks.spawn("queue", queue.follow())
        await until(lambda: queue.waiting() == {})
        nats.stop()
        await until(lambda: not bus.connected.is_set())

        clock.advance(11)
        assert queue.waiting() is None
        nats.start()

        await until(lambda: queue.waiting() == {})
