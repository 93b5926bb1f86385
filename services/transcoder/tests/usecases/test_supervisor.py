"""Which worker takes which offer."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_testkit.nats import nats_server
from odeon_transcoder.adapters.offers import BusOffers
from odeon_transcoder.ports import Outcome
from prometheus_client import REGISTRY

from .conftest import soon

if TYPE_CHECKING:
    from .conftest import Workshop


async def test_a_job_offered_again_while_its_old_run_ends_is_taken_when_that_has_ended(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.slots["jobs/job-1"] = 1
    worker = workshop.worker("w1", slots=2)
    workshop.queue.offer("jobs/job-1")
    await soon(lambda: world.holder.get("jobs/job-1") == "w1")
    (old,) = worker.jobs
    world.may_finish.clear()
    old.release()
    await soon(lambda: world.finished == [("jobs/job-1", "w1", Outcome.RELEASED)])

    again = workshop.queue.offer("jobs/job-1")

    await soon(lambda: bool(again.said))
    assert set(again.said) == {"again"}, "acknowledged, and nobody runs it"
    world.may_finish.set()
    await soon(lambda: "done" in again.said)
    assert world.holder == {"jobs/job-1": "w1"}
    assert [run is old for run in worker.jobs] == [False]


async def test_of_two_jobs_each_of_two_workers_with_one_slot_gets_one(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.slots = {"jobs/job-1": 1, "jobs/job-2": 1}
    async with AsyncExitStack() as stack:
        url = stack.enter_context(nats_server()).url
        buses = [await stack.enter_async_context(Bus(url, name=f"w{n}")) for n in (1, 2)]
        await buses[0].ensure_streams()
        stack.push_async_callback(workshop.close)
        first = workshop.worker("w1", slots=1, offers=BusOffers(buses[0]))
        _offer(buses[0], "job-1")
        await soon(lambda: bool(first.jobs))

        _offer(buses[0], "job-2")
        second = workshop.worker("w2", slots=1, offers=BusOffers(buses[1]))

        await soon(lambda: len(world.holder) == 2)
        assert world.holder == {"jobs/job-1": "w1", "jobs/job-2": "w2"}
        assert (first.slots_used, second.slots_used) == (1, 1)


async def test_an_offer_that_needs_more_slots_than_are_free_is_left_for_another_worker(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.slots = {"jobs/small": 1, "jobs/large": 2}
    first = workshop.worker("w1", slots=2)
    workshop.queue.offer("jobs/small")
    await soon(lambda: first.slots_used == 1)

    large = workshop.queue.offer("jobs/large", slots=2)

    await soon(lambda: "again" in large.said)
    assert "jobs/large" not in world.holder, "it must not even be claimed"
    workshop.worker("w2", slots=2)
    await soon(lambda: world.holder.get("jobs/large") == "w2")
    assert first.slots_used == 1


async def test_an_offer_that_is_too_large_for_the_whole_worker_goes_round_slowly_and_is_counted(
    workshop: "Workshop",
) -> None:
    counted = _sample("odeon_transcoder_offers_too_large_total")
    workshop.worker("w1", slots=2)
    huge = workshop.queue.offer("jobs/huge", slots=3)
    fits = workshop.queue.offer("jobs/fits", slots=2)
    workshop.world.slots = {"jobs/huge": 3, "jobs/fits": 2}

    await soon(lambda: fits.said == ["done"])

    assert huge.delays_s == [5.0]
    assert _sample("odeon_transcoder_offers_too_large_total") == counted + 1
    assert "jobs/huge" not in workshop.world.holder


async def test_a_full_worker_takes_the_next_offer_as_soon_as_a_job_has_ended(
    workshop: "Workshop",
) -> None:
    workshop.world.slots = {"jobs/first": 1, "jobs/next": 1}
    worker = workshop.worker("w1", slots=1)
    workshop.queue.offer("jobs/first")
    await soon(lambda: worker.slots_used == 1)
    waiting = workshop.queue.offer("jobs/next")

    worker.jobs[0].release()

    await soon(lambda: waiting.said == ["done"])
    assert [run.assignment.job for run in worker.jobs] == ["jobs/next"]


async def test_a_job_that_grew_since_it_was_offered_is_given_back(workshop: "Workshop") -> None:
    world = workshop.world
    world.slots = {"jobs/grown": 3}
    worker = workshop.worker("w1", slots=2)

    offer = workshop.queue.offer("jobs/grown", slots=1)

    await soon(lambda: offer.said == ["done"])
    assert world.finished == [("jobs/grown", "w1", Outcome.RELEASED)]
    assert worker.slots_used == 0


async def test_a_restart_with_fewer_slots_resumes_no_more_than_they_hold(
    workshop: "Workshop",
) -> None:
    world = workshop.world
    world.slots = {"jobs/large": 2, "jobs/one": 1, "jobs/two": 1}
    world.holder = dict.fromkeys(world.slots, "w1")

    worker = workshop.worker("w1", slots=1, remembers=world.slots)

    await soon(lambda: world.finished == [("jobs/large", "w1", Outcome.RELEASED)])
    await soon(lambda: worker.slots_used == 1)
    del world.holder["jobs/two"]  # its lease lapses, and it is offered to all
    workshop.queue.offer("jobs/two")
    workshop.worker("w2", slots=1)
    await soon(lambda: world.holder.get("jobs/two") == "w2")
    assert [run.assignment.job for run in worker.jobs] == ["jobs/one"]


def _offer(bus: Bus, job: str) -> None:
    offered = events_pb2.JobOffered(job_id=job, event_id="launch", slots=1)
    bus.publish(
        subjects.work("transcoder.job.offer", "acme", job), envelope("acme", job_offered=offered)
    )


def _sample(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0
