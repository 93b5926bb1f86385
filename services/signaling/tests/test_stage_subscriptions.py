"""What a stage client chooses to receive: subscriptions, layers, fresh ICE, over real media."""

import re
from typing import Any

from odeon.signaling.v1 import stage_pb2
from odeon_media import Frame

from .conftest import StageClient, World, until

VIDEO, AUDIO = stage_pb2.TRACK_KIND_VIDEO, stage_pb2.TRACK_KIND_AUDIO


async def chooser(world: World, who: str = "bob") -> StageClient:
    """A participant who gets only what they ask for."""
    return await world.join(who, auto_subscribe=False)


async def track(client: StageClient, kind: int) -> Any:
    return await client.expect("track_published", lambda t: t.kind == kind)


async def subscribe(client: StageClient, track_id: str, **wish: Any) -> None:
    await client.send(subscribe=stage_pb2.StageSubscribe(track_id=track_id, **wish))


async def arriving(client: StageClient, kind: str, count: int) -> list[Frame]:
    """All frames until `count` of a kind have come."""
    frames: list[Frame] = []

    def enough() -> bool:
        frames.extend(client.subscriber.recv(0))
        return sum(frame.kind == kind for frame in frames) >= count

    await until(enough)
    return frames


async def test_who_subscribes_by_hand_gets_what_they_asked_for_and_nothing_else(
    world: World,
) -> None:
    ann, bob = await world.join("ann"), await chooser(world)
    await ann.publish()
    video, audio = await track(bob, VIDEO), await track(bob, AUDIO)
    assert not bob.all("subscribe_offer")

    await subscribe(bob, audio.track_id)

    told = await bob.expect("track_published", lambda t: t.track_id == audio.track_id and t.mid)
    frames = await arriving(bob, "audio", 20)
    assert {(frame.kind, frame.mid) for frame in frames} == {("audio", told.mid)}
    assert not [t for t in bob.all("track_published") if t.track_id == video.track_id and t.mid]


async def test_what_is_unsubscribed_stops_and_the_rest_goes_on(world: World) -> None:
    ann, bob = await world.join("ann"), await chooser(world)
    await ann.publish()
    video, audio = await track(bob, VIDEO), await track(bob, AUDIO)
    for wanted in (video, audio):
        await subscribe(bob, wanted.track_id)
    await arriving(bob, "video", 3)

    await bob.send(unsubscribe=stage_pb2.StageUnsubscribe(track_id=video.track_id))
    await bob.send(ping=stage_pb2.StagePing(id=1))
    await bob.expect("pong")  # it has been done; what was on its way comes still
    await arriving(bob, "audio", 10)

    assert {frame.kind for frame in await arriving(bob, "audio", 50)} == {"audio"}
    await subscribe(bob, video.track_id)  # and back again
    assert await arriving(bob, "video", 3)


async def test_what_does_not_exist_is_neither_subscribed_nor_a_reason_to_end(world: World) -> None:
    bob = await chooser(world)

    await subscribe(bob, "no-such-track")
    assert (await bob.expect("error")).reason == "TRACK_NOT_FOUND"
    await bob.send(unsubscribe=stage_pb2.StageUnsubscribe(track_id="no-such-track"))
    await bob.send(ping=stage_pb2.StagePing(id=2))

    await bob.expect("pong")
    assert len(bob.all("error")) == 1


async def test_a_waiting_guest_subscribes_to_nothing(world: World) -> None:
    world.room.waiting.add("gil")
    ann = await world.join("ann")
    await ann.publish()
    published = await track(ann, VIDEO)
    gil = await world.join("gil", "guest", auto_subscribe=False)

    await subscribe(gil, published.track_id)

    assert (await gil.expect("error")).reason == "NOT_ADMITTED"
    assert not gil.all("subscribe_offer")


async def test_a_restart_offers_fresh_ice_and_media_flows_over_it(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    await bob.frames()
    await bob.frames("audio")
    before = [ufrag(offer.sdp) for offer in bob.all("subscribe_offer")]

    await bob.send(restart_ice=stage_pb2.StageRestartIce())

    await bob.expect("subscribe_offer", lambda offer: ufrag(offer.sdp) not in before)
    await arriving(bob, "audio", 10)  # what was on its way; 200 ms of it
    assert await arriving(bob, "video", 20)
    assert not bob.all("error") and not bob.all("closed")


async def test_there_is_nothing_to_restart_before_the_first_subscription(world: World) -> None:
    bob = await chooser(world)

    await bob.send(restart_ice=stage_pb2.StageRestartIce())

    assert (await bob.expect("error")).reason == "NO_SUBSCRIBE_CONNECTION"


async def test_a_subscriber_is_told_which_layer_it_gets_whenever_that_changes(
    world: World,
) -> None:
    ann, bob = await world.join("ann"), await chooser(world)
    await ann.publish(layers=("q", "h"))
    video = await bob.expect("track_published", lambda t: set(t.layers) == {"q", "h"})

    await subscribe(bob, video.track_id, max_layer="q")
    first = await bob.expect("layer_changed")
    assert (first.track_id, first.layer, first.paused) == (video.track_id, "q", False)
    await arriving(bob, "video", 3)

    await subscribe(bob, video.track_id, max_layer="h")
    assert await bob.expect("layer_changed", lambda layer: layer.layer == "h")
    await arriving(bob, "video", 3)

    await subscribe(bob, video.track_id, max_layer="q")
    await until(lambda: [layer.layer for layer in bob.all("layer_changed")] == ["q", "h", "q"])


def ufrag(sdp: str) -> str:
    found = re.search(r"a=ice-ufrag:(\S+)", sdp)
    assert found is not None
    return found.group(1)
