"""WHIP and WHEP over gRPC, with real media."""

import re
from typing import Any

import grpc
import pytest
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_media import Client
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience

from .conftest import Publisher, World, eventually, until

VIDEO = stage_pb2.TRACK_KIND_VIDEO


def tracks_shown(client: Client, kind: str = "video") -> list[Any]:
    return [frame for frame in client.recv(0) if frame.kind == kind]


async def refusal(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    info = error_info(caught.value)
    assert info is not None
    return str(info.reason)


async def test_a_whep_viewer_sees_what_is_published_by_whip(world: World) -> None:
    await world.whip()
    viewer, _ = await world.whep()

    frames = await until(lambda: tracks_shown(viewer))
    assert frames[0].keyframe
    assert await until(lambda: tracks_shown(viewer, "audio"))


async def test_who_watches_before_anybody_publishes_sees_it_when_it_comes(world: World) -> None:
    viewer, _ = await world.whep()
    await world.whip()
    assert await until(lambda: tracks_shown(viewer))


async def test_a_whip_publisher_is_a_participant_of_the_stage(world: World) -> None:
    ann = await world.join("ann")
    await world.whip("obs")

    assert (await ann.expect("participant_updated")).identity == "obs"
    assert (await ann.expect("track_published")).identity == "obs"
    assert await ann.frames()


async def test_a_whip_publisher_that_a_host_muted_stays_muted_when_it_comes_again(
    world: World,
) -> None:
    world.room.muted["obs"] = (False, True)
    ann = await world.join("ann")

    await world.whip("obs")

    assert (await ann.expect("track_published", lambda t: t.kind == VIDEO)).muted
    assert not (await ann.expect("track_published", lambda t: t.kind != VIDEO)).muted


async def test_the_same_stream_key_replaces_the_stream_before(world: World) -> None:
    first, _ = await world.whip("obs")
    ann = await world.join("ann")
    await ann.expect("joined")

    await world.whip("obs")

    closed = await until(lambda: [e for e in first.client.poll_events(0) if e.kind == "closed"])
    assert closed
    assert await ann.frames()


async def test_an_offer_that_is_garbage_leaves_the_running_stream_alone(world: World) -> None:
    await world.whip("obs")
    viewer, _ = await world.whep()
    await until(lambda: tracks_shown(viewer))
    token = world.issuer.token(
        Audience.PUBLISH, subject="obs", role="publisher", session_id="sid-obs"
    )

    why = await refusal(
        world.stub.Publish(
            signaling_pb2.PublishRequest(token=token, event="events/launch", sdp_offer="garbage")
        )
    )

    assert why.startswith("SDP_")
    viewer.recv(0)
    assert await until(lambda: tracks_shown(viewer))


async def test_two_players_may_share_one_link(world: World) -> None:
    await world.whip()
    one, _ = await world.whep("link")
    two, _ = await world.whep("link")
    assert await until(lambda: tracks_shown(one))
    assert await until(lambda: tracks_shown(two))


async def test_a_screen_share_takes_the_programme(world: World) -> None:
    await world.whip("cam")
    viewer, _ = await world.whep()
    await until(lambda: tracks_shown(viewer))
    ann = await world.join("ann")

    screen = Publisher()
    mid = re.findall(r"m=video.*?a=mid:(\S+)", screen.offer, re.DOTALL)[0]
    label = stage_pb2.StageTrackLabel(mid=mid, source=stage_pb2.TRACK_SOURCE_SCREEN)
    await ann.send(track_label=label)
    offer = stage_pb2.SessionDescription(sdp=screen.offer, revision=1)
    await ann.send(publish_offer=offer)
    screen.start((await ann.expect("publish_answer")).sdp)
    ann.publisher = screen
    track = await ann.expect("track_published", lambda t: t.identity == "ann" and t.kind == 2)
    assert track.source == stage_pb2.TRACK_SOURCE_SCREEN

    async def shown() -> set[str]:
        stats = await world.stub.GetNodeStats(signaling_pb2.GetNodeStatsRequest())
        return {layer.track_id for s in stats.sessions for layer in s.layers if s.kind == "whep"}

    await eventually(shown, lambda ids: track.track_id in ids)


async def test_a_revoked_viewer_is_cut_off(world: World) -> None:
    await world.whip()
    viewer, _ = await world.whep()
    await until(lambda: tracks_shown(viewer))

    await world.auth.revoke("acme", "sid-viewer")

    await until(lambda: [e for e in viewer.poll_events(0) if e.kind == "closed"])


@pytest.mark.parametrize(
    ("audience", "event", "reason"),
    [
        (Audience.PLAYBACK, "events/launch", "TOKEN_INVALID"),
        (Audience.STAGE, "events/launch", "TOKEN_INVALID"),
        (Audience.PUBLISH, "events/gala", "NOT_FOUND"),
    ],
)
async def test_the_node_checks_tokens_itself(
    world: World, audience: Audience, event: str, reason: str
) -> None:
    token = world.issuer.token(audience, subject="obs", role="publisher")
    request = signaling_pb2.PublishRequest(token=token, event=event, sdp_offer="v=0")
    assert await refusal(world.stub.Publish(request)) == reason


async def test_who_waits_for_a_host_does_not_come_in_by_whip(world: World) -> None:
    world.room.waiting.add("gil")
    ann = await world.join("ann")
    publisher = Publisher()
    token = world.issuer.token(Audience.PUBLISH, subject="gil", role="guest")
    request = signaling_pb2.PublishRequest(
        token=token, event="events/launch", sdp_offer=publisher.offer
    )

    assert await refusal(world.stub.Publish(request)) == "NOT_ADMITTED"
    await publisher.close()

    world.room.waiting.clear()  # a host let them in; the encoder tries again
    await world.whip("gil")
    assert (await ann.expect("track_published")).identity == "gil"
    assert len(ann.all("participant_updated")) == 1


async def test_no_service_but_the_prober_publishes_without_a_stream_key(world: World) -> None:
    token = world.issuer.service_token("recorder")
    request = signaling_pb2.PublishRequest(token=token, event="events/probe-n1", sdp_offer="v=0")
    assert await refusal(world.stub.Publish(request)) == "PERMISSION_DENIED"


async def test_outsiders_call_no_node(world: World) -> None:
    async with grpc.aio.insecure_channel(world.addresses["grpc"]) as channel:
        call = channel.unary_unary(
            "/odeon.signaling.v1.SignalingService/GetNodeStats",
            request_serializer=signaling_pb2.GetNodeStatsRequest.SerializeToString,
            response_deserializer=signaling_pb2.GetNodeStatsResponse.FromString,
        )
        metadata = [("authorization", f"Bearer {world.issuer.api_token()}")]
        request = signaling_pb2.GetNodeStatsRequest()
        assert await refusal(call(request, metadata=metadata)) == "PERMISSION_DENIED"
