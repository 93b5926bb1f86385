"""Which worker takes which offer."""

from typing import TYPE_CHECKING

from odeon_transcoder.ports import Outcome

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
