"""Facts on a real NATS: none lost while it is away, none twice."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import nats
from nats.js.api import DeliverPolicy
from odeon.events.v1 import events_pb2
from odeon.room.v1 import room_pb2 as pb
from odeon_room.settings import RoomSettings
from odeon_runtime import subjects
from odeon_testkit.callers import eventually
from odeon_testkit.nats import nats_server
from odeon_testkit.room_peers import RoomApi

RunRoom = Callable[[RoomSettings], AbstractAsyncContextManager[RoomApi]]


async def stored(url: str, stream: str, subject: str) -> list[tuple[str, events_pb2.Envelope]]:
    """Every message that JetStream keeps of a subject, in order."""
    client = await nats.connect(url)
    try:
        jetstream = client.jetstream()
        info = await jetstream.stream_info(stream)
        if not info.state.messages:
            return []
        sub = await jetstream.subscribe(
            subject, stream=stream, ordered_consumer=True, deliver_policy=DeliverPolicy.ALL
        )
        found: list[tuple[str, events_pb2.Envelope]] = []
        while True:
            try:
                message = await sub.next_msg(timeout=0.3)
            except nats.errors.TimeoutError:
                return found
            found.append((message.subject, events_pb2.Envelope.FromString(message.data)))
    finally:
        await client.close()


async def test_an_events_life_is_told_in_order_with_ids_that_repeat_never(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        async with run_room(settings.model_copy(update={"nats_url": server.url})) as room:
            await room.event("launch", "SCHEDULED", title="T")
            owner = room.owner().metadata
            name = "events/launch"
            await room.stub.WarmUpEvent(pb.WarmUpEventRequest(name=name), metadata=owner)
            await room.stub.StartEvent(pb.StartEventRequest(name=name), metadata=owner)
            await room.stub.EndEvent(pb.EndEventRequest(name=name), metadata=owner)

            facts: list[tuple[str, events_pb2.Envelope]] = []

            async def all_told() -> bool:
                facts[:] = await stored(server.url, subjects.EVENT_STREAM, "odeon.evt.room.event.>")
                return len(facts) >= 4

            await eventually(all_told, within_s=20)
    verbs = ["scheduled", "warmed-up", "started", "ended"]
    assert [subject for subject, _ in facts] == [
        f"odeon.evt.room.event.{verb}.v1.acme.launch" for verb in verbs
    ]
    assert len({fact.id for _, fact in facts}) == 4
    assert {fact.tenant_id for _, fact in facts} == {"acme"}
    assert facts[2][1].event_state_changed.state == "LIVE"


async def test_the_end_of_an_event_tells_nothing_of_a_job_that_was_over_before(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        async with run_room(settings.model_copy(update={"nats_url": server.url})) as room:
            await room.event("launch")
            await room.node("n1")
            (offered,) = await room.jobs()
            held = await room.claim(offered.name)
            done = pb.FinishJobRequest(
                name=held.name,
                worker="w1",
                claim=held.claim,
                outcome=pb.FinishJobRequest.OUTCOME_DONE,
            )
            await room.stub.FinishJob(done, metadata=room.service("transcoder").metadata)
            owner = room.owner().metadata
            await room.stub.EndEvent(pb.EndEventRequest(name="events/launch"), metadata=owner)
            await room.event("last")  # facts go in order: what was told too often comes before it

            facts: list[tuple[str, events_pb2.Envelope]] = []

            async def all_told() -> bool:
                facts[:] = await stored(server.url, subjects.EVENT_STREAM, "odeon.evt.room.job.>")
                return len({fact.job_state_changed.job_id for _, fact in facts}) == 2

            await eventually(all_told, within_s=20)
    states = [fact.job_state_changed.state for _, fact in facts]
    assert states == ["OFFERED", "CLAIMED", "DONE", "OFFERED"]


async def test_while_nats_is_away_events_run_and_afterwards_each_fact_is_there_once(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        async with run_room(settings.model_copy(update={"nats_url": server.url})) as room:
            await room.event("e0")
            server.stop()
            for number in range(1, 6):
                await room.event(f"e{number}")
            await room.node("n1")
            for offered in await room.jobs():
                await room.claim(offered.name)  # a transcoder that knows the job from before
            server.start()

            facts: list[tuple[str, events_pb2.Envelope]] = []

            async def all_told() -> bool:
                facts[:] = await stored(
                    server.url, subjects.EVENT_STREAM, "odeon.evt.room.*.started.>"
                )
                return "last" in {fact.event_state_changed.event_id for _, fact in facts}

            await room.event("last")  # facts go in order: what was doubled comes before it
            await eventually(all_told, within_s=20)
    assert sorted(fact.event_state_changed.event_id for _, fact in facts) == [
        *(f"e{number}" for number in range(6)),
        "last",
    ]


async def test_a_job_made_while_nats_was_away_is_offered_and_once_only_however_often_repeated(
    settings: RoomSettings, run_room: RunRoom
) -> None:
    with nats_server() as server:
        async with run_room(settings.model_copy(update={"nats_url": server.url})) as room:
            await room.event("e0")
            server.stop()
            await room.event("e1")
            server.start()

            async def both_offered() -> bool:
                client = await nats.connect(server.url)
                try:
                    jetstream = client.jetstream()
                    info = await jetstream.stream_info(
                        subjects.WORK_STREAM, subjects_filter=subjects.JOB_OFFERS
                    )
                    waiting = info.state.subjects or {}
                    assert all(count == 1 for count in waiting.values())
                    return len(waiting) == 2
                finally:
                    await client.close()

            await eventually(both_offered, within_s=20)
