import asyncio

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from odeon.auth.v1 import auth_pb2
from odeon.room.v1 import room_pb2 as pb
from odeon_runtime.tokens import Audience
from odeon_testkit.callers import Caller, refusal
from odeon_testkit.room_peers import RoomApi

STATE = pb.Event


async def test_an_event_without_a_room_gets_one_of_its_own_and_links_for_everybody(
    room: RoomApi,
) -> None:
    made = await room.event("launch", "SCHEDULED", title="Spring launch 春季发布")

    assert made.event.name == "events/launch" and made.event.state == STATE.STATE_SCHEDULED
    owner = room.owner().metadata
    found = await room.stub.GetRoom(pb.GetRoomRequest(name=made.event.room), metadata=owner)
    assert found.room.display_name == "Spring launch 春季发布"
    links = made.links
    assert links.studio_url.startswith("http://gateway.test/studio/launch#invite=ey")
    assert links.guest_url.startswith("http://gateway.test/guest/launch#invite=ey")
    assert links.watch_url.startswith("http://gateway.test/watch/launch#invite=ey")
    assert links.whip_url == "http://gateway.test/whip/launch"
    assert links.whep_url == "http://gateway.test/whep/launch"
    assert links.playlist_url.startswith("http://edge.test/t/ey")
    assert links.playlist_url.endswith("/acme/launch/main.m3u8")
    verify = room.peers.issuer.verifier.verify
    assert verify(links.whip_token, Audience.PUBLISH).role == "publisher"
    for url, role in (
        (links.studio_url, "host"),
        (links.guest_url, "guest"),
        (links.watch_url, "viewer"),
    ):
        assert verify(url.partition("#invite=")[2], Audience.INVITE).role == role


async def test_an_event_created_live_starts_at_once_with_a_job(room: RoomApi) -> None:
    made = await room.event("launch", "LIVE")

    assert made.event.state == STATE.STATE_LIVE and made.event.HasField("start_time")
    (job,) = await room.jobs()
    assert (job.state, job.event, job.profile) == (pb.Job.STATE_OFFERED, "events/launch", "default")


async def test_an_event_goes_its_way_and_repeated_steps_change_nothing(room: RoomApi) -> None:
    await room.event("launch", "SCHEDULED")
    owner = room.owner().metadata
    name = "events/launch"

    for _ in range(2):
        warm = await room.stub.WarmUpEvent(pb.WarmUpEventRequest(name=name), metadata=owner)
        assert warm.event.state == STATE.STATE_WARMUP
    assert await room.jobs() == []
    starts = [
        await room.stub.StartEvent(pb.StartEventRequest(name=name), metadata=owner)
        for _ in range(2)
    ]
    assert starts[0] == starts[1] and len(await room.jobs()) == 1
    ends = [
        await room.stub.EndEvent(pb.EndEventRequest(name=name), metadata=owner) for _ in range(2)
    ]
    assert ends[0] == ends[1] and ends[0].event.state == STATE.STATE_ENDED
    again = room.stub.StartEvent(pb.StartEventRequest(name=name), metadata=owner)
    assert await refusal(again) == ("FAILED_PRECONDITION", "EVENT_ENDED")


async def test_twenty_starts_at_once_make_one_job(room: RoomApi) -> None:
    await room.event("launch", "WARMUP")
    request = pb.StartEventRequest(name="events/launch")

    await asyncio.gather(
        *(room.stub.StartEvent(request, metadata=room.owner().metadata) for _ in range(20))
    )

    assert len(await room.jobs()) == 1


async def test_a_create_with_the_same_request_id_makes_one_event(room: RoomApi) -> None:
    owner = room.owner().metadata
    request = pb.CreateEventRequest(event=pb.Event(title="A"), request_id="r-1")

    made = await asyncio.gather(*(room.stub.CreateEvent(request, metadata=owner) for _ in range(8)))

    assert len({m.event.name for m in made}) == 1
    request.event.title = "B"
    reused = room.stub.CreateEvent(request, metadata=owner)
    assert await refusal(reused) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    listed = await room.stub.ListEvents(pb.ListEventsRequest(), metadata=owner)
    assert len(listed.events) == 1


async def test_tenants_use_the_same_ids_and_never_meet(room: RoomApi) -> None:
    await room.event("launch", "LIVE", tenant="acme", title="Acme's")
    await room.event("launch", "SCHEDULED", tenant="other", title="Other's")

    other = room.owner("other").metadata
    got = await room.stub.GetEvent(pb.GetEventRequest(name="events/launch"), metadata=other)
    assert got.event.title == "Other's"
    await room.stub.EndEvent(pb.EndEventRequest(name="events/launch"), metadata=other)
    mine = await room.stub.GetEvent(
        pb.GetEventRequest(name="events/launch"), metadata=room.owner().metadata
    )
    assert mine.event.state == STATE.STATE_LIVE
    assert await room.jobs("other") == []


async def test_a_taken_event_id_and_an_unknown_room_are_refused(room: RoomApi) -> None:
    await room.event("launch")

    assert await refusal(room.event("launch")) == ("ALREADY_EXISTS", "EVENT_EXISTS")
    lost = room.event("other", room="rooms/nowhere")
    assert await refusal(lost) == ("NOT_FOUND", "ROOM_NOT_FOUND")


@pytest.mark.parametrize(
    "name", ["", "launch", "events/", "events/../x", "events/A", "rooms/launch", "events/a.b"]
)
async def test_a_name_that_is_no_events_name_is_refused(room: RoomApi, name: str) -> None:
    call = room.stub.GetEvent(pb.GetEventRequest(name=name), metadata=room.owner().metadata)

    assert await refusal(call) == ("INVALID_ARGUMENT", "INVALID_ARGUMENT")


async def test_pages_of_events_show_each_once_and_filter_by_state(room: RoomApi) -> None:
    for number in range(5):
        await room.event(f"e{number}", "LIVE" if number % 2 else "SCHEDULED")
    owner = room.owner().metadata

    names, token = [], ""
    for _ in range(3):
        page = await room.stub.ListEvents(
            pb.ListEventsRequest(page_size=2, page_token=token), metadata=owner
        )
        names += [event.name for event in page.events]
        token = page.next_page_token
    assert names == [f"events/e{n}" for n in range(5)] and token == ""

    live = await room.stub.ListEvents(
        pb.ListEventsRequest(states=[STATE.STATE_LIVE]), metadata=owner
    )
    assert [event.name for event in live.events] == ["events/e1", "events/e3"]
    odd = pb.ListEventsRequest(states=[99])  # type: ignore[list-item]
    assert (await refusal(room.stub.ListEvents(odd, metadata=owner)))[0] == "INVALID_ARGUMENT"


async def test_an_update_changes_the_named_fields_only(room: RoomApi) -> None:
    await room.event("launch", title="Old", expected_viewers=7)
    owner = room.owner().metadata
    wanted = pb.Event(name="events/launch", title="New", expected_viewers=9)

    updated = await room.stub.UpdateEvent(
        pb.UpdateEventRequest(event=wanted, update_mask=FieldMask(paths=["title"])),
        metadata=owner,
    )

    assert (updated.event.title, updated.event.expected_viewers) == ("New", 7)
    for paths in ([], ["state"], ["links"]):
        request = pb.UpdateEventRequest(event=wanted, update_mask=FieldMask(paths=paths))
        call = room.stub.UpdateEvent(request, metadata=owner)
        assert (await refusal(call))[0] == "INVALID_ARGUMENT"


async def test_a_room_with_an_event_to_come_is_not_deleted(room: RoomApi) -> None:
    owner = room.owner().metadata
    hall = await room.stub.CreateRoom(
        pb.CreateRoomRequest(room_id="hall", room=pb.Room(max_participants=4)), metadata=owner
    )
    await room.event("launch", "SCHEDULED", room=hall.room.name)
    delete = pb.DeleteRoomRequest(name="rooms/hall")

    early = room.stub.DeleteRoom(delete, metadata=owner)
    assert await refusal(early) == ("FAILED_PRECONDITION", "ROOM_IN_USE")
    await room.stub.EndEvent(pb.EndEventRequest(name="events/launch"), metadata=owner)
    await room.stub.DeleteRoom(delete, metadata=owner)
    gone = room.stub.GetRoom(pb.GetRoomRequest(name="rooms/hall"), metadata=owner)
    assert await refusal(gone) == ("NOT_FOUND", "ROOM_NOT_FOUND")


async def test_two_people_enter_by_one_guest_link_as_two_people(room: RoomApi) -> None:
    made = await room.event("launch")
    link = Caller(made.links.guest_url.partition("#invite=")[2])

    async def enter(name: str) -> pb.EnterEventResponse:
        request = pb.EnterEventRequest(name="events/launch", display_name=name)
        return await room.stub.EnterEvent(request, metadata=link.metadata)

    ann, bob = await enter("Ann"), await enter("Bob")

    assert ann.identity != bob.identity and ann.session_id != bob.session_id
    assert (ann.role, ann.stage_url) == ("guest", "/stage")
    seat = room.peers.issuer.verifier.verify(ann.join_token, Audience.STAGE)
    assert (seat.subject, seat.session_id, seat.name) == (ann.identity, ann.session_id, "Ann")
    assert not ann.HasField("links")


async def test_who_reloads_the_page_stays_the_same_person(room: RoomApi) -> None:
    made = await room.event("launch")
    link = Caller(made.links.guest_url.partition("#invite=")[2])
    request = pb.EnterEventRequest(name="events/launch", display_name="Ann")
    first = await room.stub.EnterEvent(request, metadata=link.metadata)

    again = await room.stub.EnterEvent(request, metadata=Caller(first.access_token).metadata)

    assert (again.identity, again.session_id) == (first.identity, first.session_id)


async def test_a_viewer_gets_media_but_no_seat_and_a_host_gets_all_links(room: RoomApi) -> None:
    made = await room.event("launch")
    request = pb.EnterEventRequest(name="events/launch")

    watch = Caller(made.links.watch_url.partition("#invite=")[2])
    viewer = await room.stub.EnterEvent(request, metadata=watch.metadata)
    studio = Caller(made.links.studio_url.partition("#invite=")[2])
    host = await room.stub.EnterEvent(request, metadata=studio.metadata)

    assert viewer.join_token == "" and viewer.stage_url == "" and viewer.playback_token
    assert host.join_token and host.links.guest_url and host.links.whip_token
    kinds = [order.kind for order in room.peers.auth.orders]
    assert kinds.count(auth_pb2.TOKEN_KIND_JOIN) == 1


async def test_a_link_of_one_event_opens_no_other(room: RoomApi) -> None:
    made = await room.event("launch")
    await room.event("gala")
    link = Caller(made.links.studio_url.partition("#invite=")[2])

    call = room.stub.EnterEvent(pb.EnterEventRequest(name="events/gala"), metadata=link.metadata)

    assert (await refusal(call))[0] == "NOT_FOUND"


async def test_after_the_end_there_is_a_recording_but_no_stage(room: RoomApi) -> None:
    await room.event("launch")
    owner = room.owner().metadata
    await room.stub.EndEvent(pb.EndEventRequest(name="events/launch"), metadata=owner)

    entered = await room.stub.EnterEvent(pb.EnterEventRequest(name="events/launch"), metadata=owner)

    assert entered.join_token == "" and entered.playlist_url
