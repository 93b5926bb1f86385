"""Steering, pages, configuration, keys, spans, OpenAPI, and the gRPC port."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest
from odeon.auth.v1 import auth_pb2, auth_pb2_grpc
from odeon.events.v1 import events_pb2
from odeon.room.v1 import room_pb2, room_pb2_grpc
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon_gateway import credentials
from odeon_gateway.openapi import openapi, openapi_json
from odeon_gateway.pages import edge_sources
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.otlp import otlp_receiver

from .conftest import World, running

COPY = Path(__file__).parents[3] / "docs" / "reference" / "openapi.json"


# ---- steering


async def report(
    bus: Bus, edge: str, host: str, *, viewers: int = 0, draining: bool = False
) -> None:
    load = events_pb2.EdgeLoadReported(
        edge=edge, public_url=f"http://{host}:8480", draining=draining, connections=viewers
    )
    fact = envelope(subjects.NO_TENANT, edge_load_reported=load)
    bus.publish(subjects.load("edge.load.reported", edge), fact, durable=False)


@pytest.fixture(scope="module")
def nats() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


async def test_steering_knows_edges_by_their_reports_and_leaves_draining_ones(
    nats: NatsServer,
) -> None:
    async with running(nats_url=nats.url) as world, Bus(nats.url, name="edges") as bus:

        async def manifest() -> dict[str, object]:
            answer = await world.client.get(
                "/steering/acme/launch", headers={"odeon-edge": "127.0.0.2:8480"}
            )
            body: dict[str, object] = answer.json()
            return body

        seen: dict[str, object] = {}
        # The first reports may come before the gateway listens.
        while seen.get("PATHWAY-PRIORITY") != ["main", "edge-2"]:
            await report(bus, "edge-1", "127.0.0.2")
            await report(bus, "edge-2", "127.0.0.3")
            seen = await manifest()
        assert seen == {
            "VERSION": 1,
            "TTL": 5,
            "RELOAD-URI": "steering.json",
            "PATHWAY-PRIORITY": ["main", "edge-2"],
            "PATHWAY-CLONES": [
                {"BASE-ID": "main", "ID": "edge-2", "URI-REPLACEMENT": {"HOST": "127.0.0.3"}}
            ],
        }
        while seen["PATHWAY-PRIORITY"] != ["edge-2", "main"]:
            await report(bus, "edge-1", "127.0.0.2", draining=True)
            seen = await manifest()


async def test_steering_works_while_no_edge_is_known(world: World) -> None:
    answer = await world.client.get("/steering/acme/launch?_HLS_pathway=%22x%22")
    assert answer.json()["PATHWAY-PRIORITY"] == ["main"]
    assert answer.headers["cache-control"] == "no-store"


async def test_steering_refuses_what_is_no_event(world: World) -> None:
    assert (await world.client.get("/steering/acme/NOT-AN-EVENT")).status_code == 400


# ---- small documents


async def test_the_pages_learn_what_they_need(tmp_path: Path) -> None:
    note = tmp_path / "demo.json"
    async with running(demo=note) as world:
        before = (await world.client.get("/config.json")).json()
        note.write_text(json.dumps({"title": "Card", "watch_url": "/w", "studio_url": "/s"}))
        after = (await world.client.get("/config.json")).json()
    assert before == {"api_key_required": True, "demo": None, "traces": False}
    assert after["demo"] == {"title": "Card", "watch_url": "/w", "studio_url": "/s"}


@pytest.mark.parametrize("content", ["{", "[]", '{"title": 1}'])
async def test_a_half_written_demo_note_is_no_demo(tmp_path: Path, content: str) -> None:
    note = tmp_path / "demo.json"
    note.write_text(content)
    async with running(demo=note) as world:
        assert (await world.client.get("/config.json")).json()["demo"] is None


async def test_the_public_keys_are_those_of_auth(world: World) -> None:
    await world.call("room.v1.RoomService/GetEvent")
    answer = await world.client.get("/.well-known/jwks.json")
    assert answer.json() == json.loads(world.issuer.jwks_json)
    assert "d" not in answer.json()["keys"][0]


async def test_health_is_told_without_any_dependency() -> None:
    async with running(auth_address="127.0.0.1:1", room_address="127.0.0.1:1") as world:
        for path in ("/healthz", "/readyz"):
            answer = await world.client.get(path)
            assert (answer.status_code, answer.json()["trust"]) == (200, False)


async def test_an_ended_session_stops_working_at_once(world: World) -> None:
    visit = world.issuer.token(Audience.API, session_id="sid-x", permissions=("*",), event=None)
    headers = {"authorization": f"Bearer {visit}"}
    assert (await world.call("room.v1.RoomService/ListNodes", {}, headers)).status_code == 404
    await world.auth.revoke("acme", "sid-x")

    async def refused() -> bool:
        answer = await world.call("room.v1.RoomService/GetEvent", {}, headers)
        return answer.status_code == 401 and "TOKEN_REVOKED" in answer.text

    for _ in range(100):
        if await refused():
            return
    pytest.fail("the revoked session still works")


async def test_an_api_key_is_not_asked_about_at_every_call(world: World) -> None:
    world.auth.api_keys["odk_one"] = "acme"

    statuses = [await status_with_key(world, "odk_one") for _ in range(3)]

    assert statuses == [404, 404, 404]
    assert world.auth.exchanges == 1


async def test_a_revoked_api_key_stops_working_when_it_is_asked_about_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_RECHECK_S", 0.0)
    world.auth.api_keys["odk_one"] = "acme"
    before = await status_with_key(world, "odk_one")

    del world.auth.api_keys["odk_one"]

    assert (before, await status_with_key(world, "odk_one")) == (404, 401)


async def test_a_known_api_key_works_on_while_auth_is_away(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_RECHECK_S", 0.0)
    world.auth.api_keys.update(odk_one="acme", odk_two="acme")
    before = await status_with_key(world, "odk_one")

    world.auth.away = True

    assert (before, await status_with_key(world, "odk_one")) == (404, 404)
    assert await status_with_key(world, "odk_two") == 503


async def status_with_key(world: World, key: str) -> int:
    """Of a call about an event that does not exist."""
    headers = {"authorization": f"Bearer {key}"}
    return (await world.call("room.v1.RoomService/GetEvent", {}, headers)).status_code


# ---- OpenAPI


def test_the_committed_openapi_is_what_the_descriptors_say() -> None:
    assert COPY.read_text() == openapi_json(), "run: python -m odeon_gateway.openapi > " + str(COPY)


def test_openapi_describes_what_outsiders_may_call_and_nothing_else() -> None:
    paths = openapi()["paths"]
    assert "/odeon.room.v1.RoomService/CreateEvent" in paths
    assert "/odeon.room.v1.RoomService/PlaceEvent" not in paths
    assert not [path for path in paths if "signaling" in path or "transcoder" in path]


def test_every_reference_of_openapi_resolves() -> None:
    document = openapi()
    references = set()

    def walk(node: object) -> None:
        if isinstance(node, dict):
            if "$ref" in node:
                references.add(node["$ref"])
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(document)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert references <= known


async def test_openapi_is_served(world: World) -> None:
    assert (await world.client.get("/openapi.json")).json() == openapi()


# ---- pages


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Odeon</title>")
    (tmp_path / "assets" / "app-1a2b3c.js").write_text("console.log(1);" * 200)
    (tmp_path.parent / "secret.txt").write_text("secret")
    return tmp_path


async def test_the_app_is_served_for_all_of_its_addresses(site: Path) -> None:
    async with running(web_root=site) as world:
        for path in ("/", "/studio", "/guest/x", "/watch/acme/launch"):
            answer = await world.client.get(path)
            assert (answer.status_code, "Odeon" in answer.text) == (200, True)
            assert answer.headers["cache-control"] == "no-cache"


async def test_hashed_files_are_kept_for_ever_and_compressed(site: Path) -> None:
    async with running(web_root=site) as world:
        answer = await world.client.get("/assets/app-1a2b3c.js")
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        again = await world.client.get(
            "/assets/app-1a2b3c.js", headers={"if-none-match": answer.headers["etag"]}
        )
        assert again.status_code == 304


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/none.js", "/a%00b"])
async def test_nothing_outside_of_the_site_is_served(site: Path, path: str) -> None:
    async with running(web_root=site) as world:
        answer = await world.client.get(path)
    assert answer.status_code == 404
    assert "secret" not in answer.text.replace("secret.txt", "")


async def test_pages_run_nothing_but_their_own_scripts(site: Path) -> None:
    async with running(web_root=site, edge_url="http://127.0.0.2:8480") as world:
        policy = (await world.client.get("/")).headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "frame-ancestors 'self'" in policy
    assert "http://*:8480" in policy


def test_edges_below_a_domain_may_be_any_sibling() -> None:
    assert edge_sources("https://edge.live.example") == [
        "https://edge.live.example",
        "https://*.live.example",
    ]


# ---- spans of pages


def otlp(**span: object) -> dict[str, object]:
    one = {
        "traceId": "0af7651916cd43dd8448eb211c80319c",
        "spanId": "b7ad6b7169203331",
        "name": "first_decoded_frame",
        "kind": 3,
        "startTimeUnixNano": "1",
        "endTimeUnixNano": "2",
        **span,
    }
    return {"resourceSpans": [{"resource": {}, "scopeSpans": [{"scope": {}, "spans": [one]}]}]}


async def test_a_pages_span_reaches_the_collector() -> None:
    async with otlp_receiver() as collector, running(otlp_endpoint=collector.endpoint) as world:
        answer = await world.client.post("/v1/traces", json=otlp())
        assert answer.status_code == 200
        (span,) = await collector.trace_where(lambda spans: bool(spans))
        assert span.name == "first_decoded_frame"
        assert span.trace_id == "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(
    "body", [{}, [], {"resourceSpans": 5}, otlp(traceId="zz"), otlp(kind={}), otlp(traceId=5)]
)
async def test_odd_spans_are_refused(world: World, body: object) -> None:
    answer = await world.client.post("/v1/traces", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (400, "TRACE_INVALID")


async def test_a_flood_of_spans_is_refused(world: World) -> None:
    answer = await world.client.post("/v1/traces", content=b" " * 100_000)
    assert answer.status_code == 413


# ---- native gRPC


@pytest.fixture
async def channel(world: World) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(world.grpc) as made:
        yield made


async def test_grpc_calls_go_through_with_the_same_credentials(
    world: World, channel: grpc.aio.Channel
) -> None:
    world.room.events["launch"] = room_pb2.Event.STATE_LIVE
    room = room_pb2_grpc.RoomServiceStub(channel)
    metadata = list(world.bearer().items())
    answer = await room.GetEvent(room_pb2.GetEventRequest(name="events/launch"), metadata=metadata)
    assert answer.event.state == room_pb2.Event.STATE_LIVE


async def test_a_refusal_is_the_same_over_grpc(world: World, channel: grpc.aio.Channel) -> None:
    room = room_pb2_grpc.RoomServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await room.GetEvent(
            room_pb2.GetEventRequest(name="events/none"), metadata=list(world.bearer().items())
        )
    info = error_info(refusal.value)
    assert info is not None
    assert (info.reason, info.domain) == ("NOT_FOUND", "room.odeon.live")


async def test_grpc_without_a_credential_is_refused(channel: grpc.aio.Channel) -> None:
    room = room_pb2_grpc.RoomServiceStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await room.GetEvent(room_pb2.GetEventRequest())
    assert refusal.value.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_services_only_rpcs_are_unknown_over_grpc(
    world: World, channel: grpc.aio.Channel
) -> None:
    metadata = list(world.bearer().items())
    for call in (
        room_pb2_grpc.RoomServiceStub(channel).ListNodes(
            room_pb2.ListNodesRequest(), metadata=metadata
        ),
        signaling_pb2_grpc.SignalingServiceStub(channel).GetNodeStats(
            signaling_pb2.GetNodeStatsRequest(), metadata=metadata
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call
        assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_service_token_opens_no_stream_from_outside(
    world: World, channel: grpc.aio.Channel
) -> None:
    auth = auth_pb2_grpc.AuthServiceStub(channel)
    token = world.issuer.service_token("edge")
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        async for _ in auth.WatchTrust(
            auth_pb2.WatchTrustRequest(), metadata=[("authorization", f"Bearer {token}")]
        ):
            pass
    assert refusal.value.code() is grpc.StatusCode.UNIMPLEMENTED
