"""The stage over gRPC with real media: what participants see of each other."""

import grpc
import pytest
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_runtime.status import error_info

from .conftest import World, until


async def test_what_one_publishes_another_receives(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")

    await ann.publish()

    track = await bob.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_VIDEO)
    assert (track.identity, track.codec) == ("ann", "VP8")
    frames = await bob.frames()
    assert frames[0].keyframe
    assert await bob.frames("audio")


async def test_a_late_joiner_is_told_who_is_there_and_gets_their_media(world: World) -> None:
    ann = await world.join("ann")
    await ann.publish()
    await ann.expect("track_published")

    bob = await world.join("bob")

    joined = await bob.expect("joined")
    assert {p.identity for p in joined.participants} == {"ann", "bob"}
    assert await bob.frames()


async def test_the_mid_of_each_track_is_told_before_the_offer_that_brings_it(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()

    track = await bob.expect("track_published", lambda t: t.mid != "")

    (frame, *_) = await bob.frames("video" if track.kind == stage_pb2.TRACK_KIND_VIDEO else "audio")
    assert frame.mid == track.mid


async def test_offers_wait_for_the_answer_to_the_one_before(world: World) -> None:
    bob = await world.join("bob")
    bob.answers = False
    for who in ("ann", "cid", "dan"):
        await (await world.join(who)).publish()

    await until(lambda: len({t.identity for t in bob.all("track_published")}) == 3)

    assert len(bob.all("subscribe_offer")) == 1


async def test_a_muted_track_stops_and_everybody_knows(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    track = await bob.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_VIDEO)

    await ann.send(mute=stage_pb2.StageMute(track_id=track.track_id, muted=True))

    assert await bob.expect("track_published", lambda t: t.track_id == track.track_id and t.muted)


async def test_nobody_mutes_anothers_track_by_the_stage_protocol(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    track = await bob.expect("track_published")

    await bob.send(mute=stage_pb2.StageMute(track_id=track.track_id, muted=True))

    assert (await bob.expect("error")).reason == "TRACK_NOT_FOUND"


async def test_what_a_host_muted_its_owner_cannot_unmute(world: World) -> None:
    ann = await world.join("ann", "guest")
    await ann.publish()
    track = await ann.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_AUDIO)

    await world.stub.MuteParticipant(
        signaling_pb2.MuteParticipantRequest(
            tenant_id="acme", event="events/launch", identity="ann", audio_muted=True
        )
    )
    await ann.expect("track_published", lambda t: t.track_id == track.track_id and t.muted)
    await ann.send(mute=stage_pb2.StageMute(track_id=track.track_id, muted=False))

    assert (await ann.expect("error")).reason == "MUTED_BY_HOST"


async def test_who_was_muted_by_a_host_does_not_unmute_by_joining_again(world: World) -> None:
    ann, bob = await world.join("ann", "guest"), await world.join("bob")
    world.room.muted["ann"] = (True, False)  # as room keeps it once a host has said so
    await ann.send(leave=stage_pb2.StageLeave())
    await bob.expect("participant_left")

    again = await world.join("ann", "guest")
    await again.publish()

    track = await bob.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_AUDIO)
    assert track.muted
    assert not (
        await bob.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_VIDEO)
    ).muted
    await again.send(mute=stage_pb2.StageMute(track_id=track.track_id, muted=False))
    assert (await again.expect("error")).reason == "MUTED_BY_HOST"


async def test_a_stay_that_is_resumed_comes_back_as_muted_as_room_says(world: World) -> None:
    ann, bob = await world.join("ann", "guest"), await world.join("bob")
    await ann.publish()
    track = await bob.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_AUDIO)
    stay = (await ann.expect("joined")).session_id
    world.room.muted["ann"] = (True, False)  # said while ann's connection was broken
    ann.call.cancel()

    await world.join("ann", "guest", resume=stay)

    await bob.expect("track_published", lambda t: t.track_id == track.track_id and t.muted)


async def test_a_waiting_guest_sees_nothing_and_publishes_nothing_until_admitted(
    world: World,
) -> None:
    world.room.waiting.add("gil")
    ann = await world.join("ann")
    await ann.publish()
    gil = await world.join("gil", "guest")
    joined = await gil.expect("joined")
    assert (joined.admitted, len(joined.participants)) == (False, 0)
    await gil.send(publish_offer=stage_pb2.SessionDescription(sdp="v=0", revision=1))
    assert (await gil.expect("error")).reason == "NOT_ADMITTED"
    assert (
        await ann.expect("participant_updated", lambda p: p.identity == "gil")
    ).admitted is False

    await world.stub.UpdateEvent(
        signaling_pb2.UpdateEventRequest(
            tenant_id="acme", event="events/launch", admitted_identity="gil"
        )
    )

    await gil.expect("participant_updated", lambda p: p.identity == "gil" and p.admitted)
    assert await gil.frames()


async def test_whom_room_removed_does_not_come_back(world: World) -> None:
    world.room.removed.add("eve")
    client = await world.open(stage_pb2.StageJoin(token=world.stage_token("eve", "guest")))

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client._reader  # type: ignore[misc]

    info = error_info(refusal.value)
    assert info is not None
    assert info.reason == "PARTICIPANT_REMOVED"


async def test_who_joins_again_replaces_the_earlier_connection(world: World) -> None:
    first = await world.join("ann")

    await world.join("ann")

    assert (await first.expect("closed")).reason == "REPLACED"


async def test_a_kicked_participant_is_told_so_and_gone_for_the_others(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob", "guest")
    await bob.publish()
    await until(lambda: len({t.track_id for t in ann.all("track_published")}) == 2)

    await world.stub.KickParticipant(
        signaling_pb2.KickParticipantRequest(
            tenant_id="acme", event="events/launch", identity="bob", reason="KICKED"
        )
    )

    assert (await bob.expect("closed")).reason == "KICKED"
    assert (await ann.expect("participant_left")).identity == "bob"
    assert len(ann.all("track_removed")) == 2


async def test_an_ended_event_closes_everybody(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")

    await world.stub.UpdateEvent(
        signaling_pb2.UpdateEventRequest(tenant_id="acme", event="events/launch", ended=True)
    )

    for client in (ann, bob):
        assert (await client.expect("closed")).reason == "EVENT_ENDED"


async def test_a_revoked_session_is_closed(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")

    await world.auth.revoke("acme", "sid-bob")

    assert (await bob.expect("closed")).reason == "REVOKED"
    assert not ann.all("closed")


async def test_another_tenants_event_of_the_same_name_is_another_stage(world: World) -> None:
    ann = await world.join("ann")
    token = world.stage_token("ann", tenant="rival")
    rival = await world.join("ann", token=token)

    assert len((await rival.expect("joined")).participants) == 1
    assert not ann.all("closed")


async def test_a_hidden_participant_gets_media_and_is_not_noticed(world: World) -> None:
    ann = await world.join("ann")
    seat = await world.join("programme", "recorder", pinned=True)
    await ann.publish()

    assert await seat.frames()
    assert not ann.all("participant_updated")


async def test_nobody_who_is_seen_may_be_pinned(world: World) -> None:
    client = await world.open(stage_pb2.StageJoin(token=world.stage_token("ann"), pinned=True))

    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await client._reader  # type: ignore[misc]

    info = error_info(refusal.value)
    assert info is not None
    assert info.reason == "PINNED_NOT_ALLOWED"


async def test_a_broken_stage_connection_costs_no_media_and_the_stay_is_resumed(
    world: World,
) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    await bob.frames()
    stay = (await bob.expect("joined")).session_id

    bob.call.cancel()
    bob.subscriber.recv(0)
    assert await bob.frames()  # media goes on without signalling

    again = await world.join("bob", resume=stay)
    assert (await again.expect("joined")).session_id == stay
    assert not ann.all("participant_left")
    assert await bob.frames()


async def test_who_leaves_is_gone_at_once(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")

    await bob.send(leave=stage_pb2.StageLeave())

    assert (await ann.expect("participant_left")).identity == "bob"
    await until(lambda: any(r.participant.state == 3 for r in world.room.reports))


async def test_garbage_in_an_offer_is_refused_and_the_stage_goes_on(world: World) -> None:
    ann = await world.join("ann")

    await ann.send(publish_offer=stage_pb2.SessionDescription(sdp="garbage" * 10_000, revision=1))
    assert (await ann.expect("error")).reason.startswith("SDP_")
    await ann.send(ping=stage_pb2.StagePing(id=7))

    assert (await ann.expect("pong")).id == 7


async def test_speakers_are_told_louder_is_higher(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")

    await ann.publish(level=-10)

    speakers = await bob.expect("speakers", lambda s: len(s.speakers) > 0)
    assert speakers.speakers[0].identity == "ann"
    assert speakers.speakers[0].level > 60


async def test_who_comes_later_is_seen_by_those_who_see_others_already(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    await bob.frames()
    cid = await world.join("cid")

    await cid.publish()

    track = await bob.expect(
        "track_published",
        lambda t: t.identity == "cid" and t.kind == stage_pb2.TRACK_KIND_VIDEO and t.mid != "",
    )
    await until(lambda: [f for f in bob.subscriber.recv(0) if f.mid == track.mid])
