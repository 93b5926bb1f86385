"""WHIP, WHEP and the stage WebSocket, through the gateway to a real node."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import stage_pb2
from odeon_media import Client
from odeon_runtime.tokens import Audience
from odeon_signaling.app import signaling
from odeon_signaling.settings import SignalingSettings
from odeon_testkit.issuer import SERVICE_SECRET
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from .conftest import World, running, until

SDP = {"content-type": "application/sdp"}
FRAGMENT = {"content-type": "application/trickle-ice-sdpfrag"}
KEYFRAME = bytes.fromhex("9001009d012a40003000") + bytes(60)


@asynccontextmanager
async def node_of(world: World) -> AsyncIterator[dict[str, str]]:
    settings = SignalingSettings(
        node="n1",
        auth_address=world.auth_address,
        room_address=world.room_address,
        service_secret=SERVICE_SECRET,
        heartbeat_s=0.2,
    )
    async with signaling(settings) as addresses:
        await until(lambda: world.room.nodes.get("nodes/n1"))
        yield dict(addresses)


@pytest.fixture
async def node(world: World) -> AsyncIterator[dict[str, str]]:
    async with node_of(world) as addresses:
        yield addresses


def publish_headers(world: World, **claims: Any) -> dict[str, str]:
    claims = {"subject": "obs", "role": "publisher", "session_id": "sid-obs", **claims}
    return world.token(Audience.PUBLISH, **claims)


def play_headers(world: World, **claims: Any) -> dict[str, str]:
    claims = {"subject": "viewer", "role": "viewer", "session_id": "sid-view", **claims}
    return world.token(Audience.PLAYBACK, **claims)


async def test_what_goes_in_by_whip_comes_out_by_whep(world: World, node: object) -> None:
    camera, viewer = Client(), Client()
    offer = camera.create_offer(video_codec="vp8")
    ingest = await world.client.post(
        "/whip/launch", content=offer, headers={**SDP, **publish_headers(world)}
    )
    assert ingest.status_code == 201, ingest.text
    assert ingest.headers["content-type"].startswith("application/sdp")
    assert ingest.headers["location"].startswith("/whip/launch/n1/whip-")
    camera.set_answer(ingest.text)

    watch = await world.client.post(
        "/whep/launch",
        content=viewer.create_offer(video_codec=None, direction="recvonly"),
        headers={**SDP, **play_headers(world)},
    )
    assert watch.status_code == 201, watch.text
    viewer.set_answer(watch.text)

    sent = 0

    def received() -> bool:
        nonlocal sent
        sent += 1
        for media in camera.medias():
            payload = KEYFRAME if media.kind == "video" else b"\xf8\xff\xfe"
            camera.send(media.mid, payload, rtp_time=sent * 1800)
        return any(frame.kind == "video" for frame in viewer.recv(0))

    await until(received)
    gone = await world.client.delete(ingest.headers["location"], headers=publish_headers(world))
    assert gone.status_code == 200
    again = await world.client.delete(ingest.headers["location"], headers=publish_headers(world))
    assert (again.status_code, again.json()["reason"]) == (404, "SESSION_NOT_FOUND")
    camera.close()
    viewer.close()


async def start(world: World, **claims: Any) -> Any:
    camera = Client()
    offer = camera.create_offer(video_codec="vp8")
    camera.close()
    return await world.client.post(
        "/whip/launch", content=offer, headers={**SDP, **publish_headers(world, **claims)}
    )


async def test_a_trickled_candidate_must_name_the_ice_session(world: World, node: object) -> None:
    session = await start(world)
    resource, etag = session.headers["location"], session.headers["etag"]
    candidate = "a=candidate:1 1 udp 2130706431 127.0.0.1 50000 typ host\r\n"
    headers = {**FRAGMENT, **publish_headers(world)}

    async def patch(**extra: str) -> int:
        sent = {**headers, **extra}
        return (await world.client.patch(resource, content=candidate, headers=sent)).status_code

    assert await patch() == 428
    assert await patch(**{"if-match": '"other"'}) == 412
    assert await patch(**{"if-match": etag}) == 204


async def test_an_ice_restart_is_answered_with_a_new_etag(world: World, node: object) -> None:
    session = await start(world)
    fragment = "a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    answer = await world.client.patch(
        session.headers["location"],
        content=fragment,
        headers={**FRAGMENT, **publish_headers(world), "if-match": "*"},
    )
    assert answer.status_code == 200
    assert "a=ice-ufrag:" in answer.text
    assert answer.headers["etag"] != session.headers["etag"]


async def test_a_session_of_one_stream_key_is_not_another_keys(world: World, node: object) -> None:
    session = await start(world)
    other = publish_headers(world, subject="other", session_id="sid-other")
    answer = await world.client.delete(session.headers["location"], headers=other)
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({}, 401, "UNAUTHENTICATED"),
        ({"authorization": "Bearer wrong"}, 401, "TOKEN_INVALID"),
    ],
)
async def test_whip_needs_a_stream_key(
    world: World, headers: dict[str, str], status: int, reason: str
) -> None:
    answer = await world.client.post("/whip/launch", content="v=0", headers={**SDP, **headers})
    assert (answer.status_code, answer.json()["reason"]) == (status, reason)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_playback_token_publishes_nothing(world: World) -> None:
    answer = await world.client.post(
        "/whip/launch", content="v=0", headers={**SDP, **play_headers(world)}
    )
    assert (answer.status_code, answer.json()["reason"]) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize("event", ["gala", "NOT A SLUG"])
async def test_another_event_than_the_tokens_does_not_exist(world: World, event: str) -> None:
    answer = await world.client.post(
        f"/whip/{event}", content="v=0", headers={**SDP, **publish_headers(world)}
    )
    assert answer.status_code in (400, 404)


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"x" * 1024 * 1024, 413), (b"garbage\r\n" * 1000, 400), (b"", 400), (b"\xff\xfe\x00", 415)],
)
async def test_garbage_instead_of_sdp_is_refused_and_others_go_on(
    world: World, node: object, body: bytes, status: int
) -> None:
    answer = await world.client.post(
        "/whip/launch", content=body, headers={**SDP, **publish_headers(world)}
    )
    assert answer.status_code == status, answer.text
    assert (await start(world)).status_code == 201


async def test_other_types_and_methods_are_refused(world: World) -> None:
    typed = await world.client.post("/whip/launch", json={}, headers=publish_headers(world))
    assert typed.status_code == 415
    got = await world.client.get("/whip/launch", headers=publish_headers(world))
    assert got.status_code == 405
    options = await world.client.options("/whip/launch")
    assert (options.status_code, options.headers["accept-post"]) == (204, "application/sdp")


async def test_a_page_of_another_origin_may_publish(world: World) -> None:
    preflight = await world.client.options(
        "/whip/launch",
        headers={
            "origin": "https://studio.example",
            "access-control-request-method": "POST",
            "access-control-request-headers": "authorization,content-type",
        },
    )
    assert preflight.status_code == 200
    assert "authorization" in preflight.headers["access-control-allow-headers"].lower()


async def test_ice_servers_are_told_when_there_are_some() -> None:
    async with running(ice_servers=("stun:stun.example.net",)) as world, node_of(world):
        answer = await start(world)
    assert answer.headers["link"] == '<stun:stun.example.net>; rel="ice-server"'


async def test_the_audience_waits_until_the_event_is_live(world: World, node: object) -> None:
    world.room.events["launch"] = room_pb2.Event.STATE_WARMUP
    viewer = Client()
    offer = viewer.create_offer(video_codec=None, direction="recvonly")
    early = await world.client.post(
        "/whep/launch", content=offer, headers={**SDP, **play_headers(world)}
    )
    assert (early.status_code, early.json()["reason"]) == (409, "EVENT_NOT_LIVE")
    host = await world.client.post(
        "/whep/launch", content=offer, headers={**SDP, **play_headers(world, role="host")}
    )
    assert host.status_code == 201
    viewer.close()


async def test_a_node_that_is_gone_took_its_sessions_along(world: World) -> None:
    async with node_of(world):
        session = await start(world)
    answer = await world.client.delete(session.headers["location"], headers=publish_headers(world))
    assert (answer.status_code, answer.json()["reason"]) == (404, "SESSION_NOT_FOUND")
    unknown = await world.client.delete("/whip/launch/n9/whip-x", headers=publish_headers(world))
    assert unknown.status_code == 404


# ---- the stage


@asynccontextmanager
async def stage(world: World, **options: Any) -> AsyncIterator[ClientConnection]:
    options.setdefault("subprotocols", ["odeon.stage.v1"])
    async with connect(f"{world.http.replace('http', 'ws')}/stage", **options) as socket:
        yield socket


def join(world: World, who: str = "ann", **join: Any) -> bytes:
    token = world.issuer.token(Audience.STAGE, subject=who, session_id=f"sid-{who}")
    message = stage_pb2.StageJoin(token=token, auto_subscribe=True, **join)
    return stage_pb2.StageClientMessage(join=message).SerializeToString()


async def receive(socket: ClientConnection) -> stage_pb2.StageServerMessage:
    async with asyncio.timeout(10):
        data = await socket.recv()
    assert isinstance(data, bytes)
    return stage_pb2.StageServerMessage.FromString(data)


async def test_a_page_joins_the_stage_and_leaves_it(world: World, node: object) -> None:
    async with stage(world) as ann, stage(world) as bob:
        await ann.send(join(world, "ann"))
        joined = (await receive(ann)).joined
        assert (joined.identity, joined.node, joined.admitted) == ("ann", "n1", True)
        await bob.send(join(world, "bob"))
        assert (await receive(ann)).participant_updated.identity == "bob"

        leave = stage_pb2.StageClientMessage(leave=stage_pb2.StageLeave())
        await bob.send(leave.SerializeToString())
        assert (await receive(ann)).participant_left.identity == "bob"


async def test_a_closed_page_leaves_at_once(world: World, node: object) -> None:
    async with stage(world) as ann, stage(world) as bob:
        await ann.send(join(world, "ann"))
        await receive(ann)
        await bob.send(join(world, "bob"))
        await receive(ann)
        await bob.close(1001)
        assert (await receive(ann)).participant_left.identity == "bob"


async def test_a_broken_path_keeps_the_place_and_the_page_resumes_it(
    world: World, node: object
) -> None:
    async with stage(world) as ann:
        await ann.send(join(world))
        stay = (await receive(ann)).joined.session_id
        ann.transport.abort()
    async with stage(world) as ann:
        await ann.send(join(world, resume=stay))
        assert (await receive(ann)).joined.session_id == stay


async def refused(socket: ClientConnection) -> tuple[str, int]:
    """Reason of the fatal error, and the close code after it."""
    error = (await receive(socket)).error
    assert error.fatal
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(10):
            await socket.recv()
    assert closed.value.rcvd is not None
    return error.reason, closed.value.rcvd.code


@pytest.mark.parametrize(
    ("frame", "code"),
    [("text", 1003), (b"\xff\xff\xff", 1007), (b"", 1007), (b"\x42\x00", 1008)],
)
async def test_garbage_frames_end_the_connection_with_a_reason(
    world: World, frame: str | bytes, code: int
) -> None:
    async with stage(world) as socket:
        await socket.send(frame)
        assert await refused(socket) == ("FRAME_INVALID", code)


async def test_a_huge_frame_ends_the_connection(world: World) -> None:
    async with stage(world) as socket:
        await socket.send(b"\x12" + bytes(200 * 1024))
        assert await refused(socket) == ("FRAME_INVALID", 1009)


async def test_a_wrong_token_is_refused_with_its_reason(world: World) -> None:
    async with stage(world) as socket:
        message = stage_pb2.StageClientMessage(join=stage_pb2.StageJoin(token="nonsense"))
        await socket.send(message.SerializeToString())
        assert await refused(socket) == ("TOKEN_INVALID", 1008)


async def test_what_the_node_refuses_reaches_the_page(world: World, node: object) -> None:
    world.room.removed.add("eve")
    async with stage(world) as socket:
        await socket.send(join(world, "eve"))
        assert await refused(socket) == ("PARTICIPANT_REMOVED", 1008)


async def test_a_node_that_goes_sends_its_people_elsewhere(world: World) -> None:
    async with stage(world) as socket:
        async with node_of(world):
            await socket.send(join(world))
            await receive(socket)
        assert (await receive(socket)).closed.reason == "NODE_DRAINING"


async def test_pages_of_other_origins_may_be_kept_out() -> None:
    async with running(stage_origins=("https://odeon.example",)) as world:
        with pytest.raises(InvalidStatus):
            async with stage(world, origin="https://evil.example"):
                pass
        async with stage(world, origin="https://odeon.example"):
            pass


async def test_a_socket_of_another_protocol_is_refused(world: World) -> None:
    with pytest.raises(InvalidStatus):
        async with stage(world, subprotocols=["chat"]):
            pass


async def test_a_flood_of_messages_ends_the_connection() -> None:
    limit = "5/minute"
    async with (
        running(limit_stage_messages=limit) as world,
        node_of(world),
        stage(world) as socket,
    ):
        await socket.send(join(world))
        await receive(socket)
        ping = stage_pb2.StageClientMessage(ping=stage_pb2.StagePing(id=1))
        for _ in range(10):
            await socket.send(ping.SerializeToString())
        while not (message := await receive(socket)).HasField("error"):
            assert message.HasField("pong")
        assert message.error.reason == "RATE_LIMITED"
