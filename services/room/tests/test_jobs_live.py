import asyncio

from odeon.room.v1 import room_pb2 as pb
from odeon_runtime.tokens import Audience
from odeon_testkit.callers import eventually, refusal
from odeon_testkit.room_peers import RoomApi

OUTCOME = pb.FinishJobRequest


async def live(room: RoomApi) -> pb.Job:
    """The job of a new live event on a node."""
    await room.event("launch")
    await room.node("n1")
    (job,) = await room.jobs()
    return job


async def finish(room: RoomApi, job: pb.Job, outcome: str, worker: str = "w1") -> pb.Job:
    request = pb.FinishJobRequest(
        name=job.name,
        worker=worker,
        claim=job.claim,
        outcome=OUTCOME.Outcome.Value(f"OUTCOME_{outcome}"),
    )
    metadata = room.service("transcoder").metadata
    return (await room.stub.FinishJob(request, metadata=metadata)).job


async def renew(room: RoomApi, job: pb.Job, worker: str = "w1") -> pb.Job:
    request = pb.RenewJobRequest(name=job.name, worker=worker, claim=job.claim, status="ok")
    metadata = room.service("transcoder").metadata
    return (await room.stub.RenewJob(request, metadata=metadata)).job


async def test_of_ten_workers_that_claim_at_once_one_gets_the_job(room: RoomApi) -> None:
    job = await live(room)

    results = await asyncio.gather(
        *(room.claim(job.name, f"w{n}") for n in range(10)), return_exceptions=True
    )

    (won,) = [r for r in results if isinstance(r, pb.Job)]
    assert won.claim == 1 and won.state == pb.Job.STATE_CLAIMED
    assert won.node_address == room.peers.node_address
    (stored,) = await room.jobs()
    assert stored.worker == won.worker and stored.join_token == ""


async def test_the_workers_seat_is_hidden_and_of_the_jobs_tenant(room: RoomApi) -> None:
    job = await room.claim((await live(room)).name)

    seat = room.peers.issuer.verifier.verify(job.join_token, Audience.STAGE)

    assert (seat.tenant, seat.event, seat.role) == ("acme", "launch", "recorder")


async def test_a_watcher_hears_of_a_new_layout_and_of_the_end(room: RoomApi) -> None:
    job = await room.claim((await live(room)).name)
    owner = room.owner().metadata
    watch = aiter(room.watch(job))
    await anext(watch)

    layout = pb.Layout(kind=pb.Layout.KIND_SPEAKER, focus="ann")
    request = pb.SetLayoutRequest(name="events/launch", layout=layout)
    await room.stub.SetLayout(request, metadata=owner)
    async with asyncio.timeout(5):
        assert (await anext(watch)).job.layout == layout

    await room.stub.EndEvent(pb.EndEventRequest(name="events/launch"), metadata=owner)
    async with asyncio.timeout(5):
        states = [news.job.state async for news in watch]
    assert states == [pb.Job.STATE_CANCELLED]


async def test_ending_an_event_closes_stage_and_timeline_once_the_worker_has_delivered(
    room: RoomApi,
) -> None:
    job = await room.claim((await live(room)).name)
    room.peers.recorder.fail, room.peers.recorder.refuse = 1, 1
    request = pb.EndEventRequest(name="events/launch")
    await room.stub.EndEvent(request, metadata=room.owner().metadata)
    assert (await renew(room, job)).state == pb.Job.STATE_CANCELLED
    assert room.peers.node.told == [] and room.peers.recorder.ended == []

    await finish(room, job, "DONE")

    async def both_told() -> bool:
        return bool(room.peers.recorder.ended and room.peers.node.told)

    await eventually(both_told)
    assert room.peers.node.told == ["end acme/launch"]
    assert room.peers.recorder.ended == ["acme/events/launch"]


async def test_a_worker_that_falls_silent_loses_the_job_to_another(room: RoomApi) -> None:
    offered = await live(room)
    first = await room.claim(offered.name, "w1")

    await eventually(lambda: room.jobs("acme", "OFFERED"))
    second = await room.claim(offered.name, "w2")

    assert second.claim == first.claim + 1
    assert await refusal(renew(room, first)) == ("ABORTED", "JOB_LOST")
    stream = room.watch(first)
    assert await refusal(anext(aiter(stream))) == ("ABORTED", "JOB_LOST")


async def test_a_released_job_goes_to_the_next_worker_at_once(room: RoomApi) -> None:
    first = await room.claim((await live(room)).name, "w1")

    await finish(room, first, "RELEASED")

    assert (await room.claim(first.name, "w2")).claim == 2


async def test_what_a_worker_says_is_there_for_people_to_read(room: RoomApi) -> None:
    job = await room.claim((await live(room)).name)
    request = pb.FinishJobRequest(
        name=job.name,
        worker="w1",
        claim=job.claim,
        outcome=OUTCOME.OUTCOME_FAILED,
        detail="encoder died",
    )

    await room.stub.FinishJob(request, metadata=room.service("transcoder").metadata)

    (stored,) = await room.jobs()
    assert (stored.state, stored.status) == (pb.Job.STATE_OFFERED, "encoder died")


async def test_an_unknown_job_is_refused(room: RoomApi) -> None:
    assert await refusal(room.claim("jobs/nothing")) == ("NOT_FOUND", "JOB_NOT_FOUND")
