import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from odeon.room.v1 import room_pb2 as pb
from odeon_room.settings import RoomSettings
from odeon_testkit.callers import refusal
from odeon_testkit.room_peers import RoomApi

WAITING, ADMITTED = pb.Participant.STATE_WAITING, pb.Participant.STATE_ADMITTED
LEFT, REMOVED = pb.Participant.STATE_LEFT, pb.Participant.STATE_REMOVED


async def stage(api: RoomApi, **fields: Any) -> None:
    """A live event on a node."""
    await api.event("launch", "LIVE", **fields)
    await api.node("n1")
    await api.place()


async def probe(room: RoomApi, node: str, *, ok: bool) -> None:
    request = pb.ReportProbeRequest(node=f"nodes/{node}", ok=ok, failed_stage="rtp")
    await room.stub.ReportProbe(request, metadata=room.service("signaling").metadata)


async def test_everybody_of_an_event_is_sent_to_the_same_node(room: RoomApi) -> None:
    await room.event("launch")
    await room.node("n1", cpu_load=0.5)
    await room.node("n2", cpu_load=0.2)

    assert {await room.place() for _ in range(5)} == {"nodes/n2"}
    await room.node("n2", cpu_load=0.99)
    assert await room.place() == "nodes/n2"


async def test_new_events_are_spread_even_before_the_nodes_report_them(room: RoomApi) -> None:
    await room.node("n1")
    await room.node("n2")
    for number in range(4):
        await room.event(f"e{number}")

    placed = [await room.place(f"e{number}") for number in range(4)]

    assert sorted(placed) == ["nodes/n1", "nodes/n1", "nodes/n2", "nodes/n2"]


async def test_without_a_node_the_caller_learns_when_to_try_again(room: RoomApi) -> None:
    await room.event("launch")

    assert await refusal(room.place()) == ("UNAVAILABLE", "NO_NODE_AVAILABLE")


@pytest.mark.parametrize(
    ("state", "reason"), [("SCHEDULED", "EVENT_NOT_OPEN"), ("ENDED", "EVENT_ENDED")]
)
async def test_no_media_goes_anywhere_before_the_warm_up_or_after_the_end(
    room: RoomApi, state: str, reason: str
) -> None:
    await room.node("n1")
    await room.event("launch", "SCHEDULED")
    if state == "ENDED":
        request = pb.EndEventRequest(name="events/launch")
        await room.stub.EndEvent(request, metadata=room.owner().metadata)

    assert await refusal(room.place()) == ("FAILED_PRECONDITION", reason)


async def test_a_node_whose_probes_fail_is_left_until_one_passes(room: RoomApi) -> None:
    await room.event("launch")
    await room.node("n1")
    assert await room.place() == "nodes/n1"
    await room.node("n2")

    await probe(room, "n1", ok=False)
    assert await room.place() == "nodes/n1"
    await probe(room, "n1", ok=False)

    assert await room.place() == "nodes/n2"
    assert not (await room.node("n1")).eligible
    await probe(room, "n1", ok=True)
    assert (await room.node("n1")).eligible


async def test_a_draining_node_says_so_and_its_events_move(room: RoomApi) -> None:
    await room.event("launch")
    await room.node("n1")
    await room.place()
    await room.node("n2")

    drained = await room.node("n1", draining=True)

    assert not drained.eligible
    assert await room.place() == "nodes/n2"


async def test_newcomers_to_an_event_on_a_cordoned_node_meet_the_others_there(
    room: RoomApi,
) -> None:
    await room.event("launch")
    await room.event("training")
    await room.node("n1")
    await room.place()
    await room.node("n2", cpu_load=0.9)

    cordoned = await room.node("n1", cordoned=True)

    assert not cordoned.eligible
    assert await room.place() == "nodes/n1"
    assert await room.place("training") == "nodes/n2"


async def test_room_itself_moves_a_live_event_off_a_lost_node_and_tells_its_transcoder(
    room: RoomApi,
) -> None:
    await stage(room)
    await room.report("host", "host")
    (offered,) = await room.jobs()
    job = await room.claim(offered.name)
    watch = aiter(room.watch(job))
    assert (await anext(watch)).job.node_address == room.peers.node_address

    await room.node("n2", grpc_address="127.0.0.1:2")
    await room.node("n1", draining=True)

    async with asyncio.timeout(10):
        moved = await anext(watch)
    assert moved.job.node_address == "127.0.0.1:2"
    request = pb.ListParticipantsRequest(parent="events/launch")
    listed = await room.stub.ListParticipants(request, metadata=room.owner().metadata)
    assert [p.state for p in listed.participants] == [LEFT]


async def test_nodes_and_their_probes_outlive_a_restart_of_room(
    settings: RoomSettings,
    run_room: Callable[[RoomSettings], AbstractAsyncContextManager[RoomApi]],
) -> None:
    async with run_room(settings) as room:
        await room.event("launch")
        await room.node("n1")
        await room.node("n2")
        where = await room.place()
        for _ in range(2):
            await probe(room, "n2" if where == "nodes/n1" else "n1", ok=False)

    async with run_room(settings) as room:
        listed = await room.stub.ListNodes(
            pb.ListNodesRequest(), metadata=room.service("gateway").metadata
        )
        assert {n.name: n.eligible for n in listed.nodes} == {
            "nodes/n1": where == "nodes/n1",
            "nodes/n2": where == "nodes/n2",
        }
        assert await room.place() == where


async def test_only_a_service_on_its_own_speaks_for_nodes_and_jobs(room: RoomApi) -> None:
    through = room.owner().through(room.service("gateway"))
    calls: list[Awaitable[object]] = [
        room.stub.ReportNode(
            pb.ReportNodeRequest(node=pb.Node(name="nodes/evil")), metadata=through
        ),
        room.stub.ListNodes(pb.ListNodesRequest(), metadata=through),
        room.stub.ReportProbe(pb.ReportProbeRequest(node="nodes/n1"), metadata=through),
        room.stub.ClaimJob(pb.ClaimJobRequest(name="jobs/x", worker="w"), metadata=through),
        room.stub.RenewJob(pb.RenewJobRequest(name="jobs/x", worker="w"), metadata=through),
        room.stub.FinishJob(pb.FinishJobRequest(name="jobs/x", outcome=1), metadata=through),  # type: ignore[arg-type]
    ]

    for call in calls:
        assert (await refusal(call))[0] == "PERMISSION_DENIED"


async def test_a_guest_waits_until_a_host_lets_them_in_and_the_node_is_told(
    room: RoomApi,
) -> None:
    await stage(room, waiting_room=True)
    assert (await room.report("host", "host")).state == ADMITTED
    assert (await room.report("bob")).state == WAITING

    admitted = await room.stub.AdmitParticipant(
        pb.AdmitParticipantRequest(name="events/launch/participants/bob"),
        metadata=room.owner().metadata,
    )

    assert admitted.participant.state == ADMITTED
    assert room.peers.node.told == ["admit bob acme/launch"]
    assert (await room.report("bob", left=True)).state == LEFT
    assert (await room.report("bob", session_id="s-2")).state == ADMITTED


async def test_a_stage_holds_as_many_as_its_room_allows(room: RoomApi) -> None:
    owner = room.owner().metadata
    await room.stub.CreateRoom(
        pb.CreateRoomRequest(room_id="hall", room=pb.Room(max_participants=2)), metadata=owner
    )
    await stage(room, room="rooms/hall")

    await room.report("ann")
    await room.report("bob")

    assert await refusal(room.report("eve")) == ("RESOURCE_EXHAUSTED", "ROOM_FULL")
    assert (await room.report("recorder-1", "recorder")).hidden
    assert (await room.report("ann", session_id="s-again")).state == ADMITTED
    await room.report("bob", left=True)
    assert (await room.report("eve")).state == ADMITTED


async def test_a_banned_guest_is_off_the_stage_out_of_the_session_and_stays_out(
    room: RoomApi,
) -> None:
    await stage(room)
    await room.report("bob", session_id="s-bob")

    removed = await room.stub.RemoveParticipant(
        pb.RemoveParticipantRequest(name="events/launch/participants/bob", ban=True),
        metadata=room.owner().metadata,
    )

    assert removed.participant.state == REMOVED
    assert room.peers.node.told == ["kick bob KICKED"]
    assert room.peers.auth.revoked_sessions == [("acme", "s-bob")]
    assert (await room.report("bob", session_id="s-2")).state == REMOVED


async def test_a_mute_reaches_the_node_and_is_remembered(room: RoomApi) -> None:
    await stage(room)
    await room.report("bob")

    muted = await room.stub.MuteParticipant(
        pb.MuteParticipantRequest(name="events/launch/participants/bob", audio_muted=True),
        metadata=room.owner().metadata,
    )

    assert (muted.participant.audio_muted, muted.participant.video_muted) == (True, False)
    assert room.peers.node.told == ["mute bob audio=True video=None"]
    assert (await room.report("bob", session_id="s-2")).audio_muted


async def test_participants_of_another_tenant_do_not_exist(room: RoomApi) -> None:
    await stage(room)
    await room.report("bob")
    await room.event("launch", tenant="other")

    other = room.owner("other").metadata
    name = "events/launch/participants/bob"
    calls: list[Awaitable[object]] = [
        room.stub.RemoveParticipant(pb.RemoveParticipantRequest(name=name), metadata=other),
        room.stub.AdmitParticipant(pb.AdmitParticipantRequest(name=name), metadata=other),
        room.stub.MuteParticipant(pb.MuteParticipantRequest(name=name), metadata=other),
    ]
    for call in calls:
        assert await refusal(call) == ("NOT_FOUND", "PARTICIPANT_NOT_FOUND")
    assert room.peers.node.told == []


async def test_the_prober_leaves_no_trace(room: RoomApi) -> None:
    seen = await room.report("probe-1", "prober", event="no-such-event")

    assert seen.hidden and seen.state == ADMITTED
