"""The Connect protocol: what a JSON client sees."""

import base64
import gzip
import json
import struct

import pytest
from google.rpc import error_details_pb2
from odeon.room.v1 import room_pb2
from odeon_runtime.tokens import Audience

from .conftest import World, running

GET_EVENT = "room.v1.RoomService/GetEvent"


def reason(body: dict[str, object]) -> str:
    details = body["details"]
    assert isinstance(details, list)
    (info,) = (d for d in details if d["type"] == "google.rpc.ErrorInfo")
    padded = info["value"] + "=" * (-len(info["value"]) % 4)
    return str(error_details_pb2.ErrorInfo.FromString(base64.b64decode(padded)).reason)


@pytest.fixture(autouse=True)
def launch(world: World) -> None:
    world.room.events["launch"] = room_pb2.Event.STATE_LIVE


async def test_a_unary_call_answers_in_json(world: World) -> None:
    response = await world.call(GET_EVENT, {"name": "events/launch"})

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json()["event"] == {
        "name": "events/launch", "title": "launch", "state": "STATE_LIVE",
    }  # fmt: skip


async def test_the_same_call_answers_in_binary(world: World) -> None:
    response = await world.client.post(
        f"/odeon.{GET_EVENT}",
        content=room_pb2.GetEventRequest(name="events/launch").SerializeToString(),
        headers={**world.bearer(), "content-type": "application/proto"},
    )

    answer = room_pb2.GetEventResponse.FromString(response.content)
    assert answer.event.state == room_pb2.Event.STATE_LIVE


async def test_a_compressed_body_is_understood(world: World) -> None:
    response = await world.client.post(
        f"/odeon.{GET_EVENT}",
        content=gzip.compress(b'{"name":"events/launch"}'),
        headers={
            **world.bearer(), "content-type": "application/json", "content-encoding": "gzip",
        },
    )  # fmt: skip
    assert response.status_code == 200


async def test_fields_of_later_versions_are_ignored(world: World) -> None:
    response = await world.call(GET_EVENT, {"name": "events/launch", "newField": 1})
    assert response.status_code == 200


async def test_a_services_refusal_keeps_its_code_reason_and_metadata(world: World) -> None:
    response = await world.call(GET_EVENT, {"name": "events/none"})

    assert response.status_code == 404
    body = response.json()
    assert (body["code"], reason(body)) == ("not_found", "NOT_FOUND")
    assert body["details"][0]["debug"]["metadata"] == {"event": "none"}


async def test_an_api_key_is_as_good_as_a_token(world: World) -> None:
    world.auth.api_keys["odk_good"] = "acme"
    response = await world.call(
        GET_EVENT, {"name": "events/launch"}, {"authorization": "Bearer odk_good"}
    )
    assert response.status_code == 200


async def test_an_api_key_is_not_traded_for_every_call(world: World) -> None:
    world.auth.api_keys["odk_good"] = "acme"
    for _ in range(5):
        await world.call(GET_EVENT, {}, {"authorization": "Bearer odk_good"})
    assert world.auth.exchanges == 1


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "UNAUTHENTICATED"),
        ({"authorization": "Basic eDp5"}, "UNAUTHENTICATED"),
        ({"authorization": "Bearer not-a-token"}, "TOKEN_INVALID"),
        ({"authorization": "Bearer odk_unknown"}, "UNAUTHENTICATED"),
    ],
)
async def test_without_a_good_credential_nothing_is_called(
    world: World, headers: dict[str, str], expected: str
) -> None:
    response = await world.call(GET_EVENT, {"name": "events/launch"}, headers)
    assert (response.status_code, reason(response.json())) == (401, expected)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_an_expired_token_says_so(world: World) -> None:
    headers = world.token(Audience.API, ttl_s=-5, permissions=("*",))
    response = await world.call(GET_EVENT, {}, headers)
    assert reason(response.json()) == "TOKEN_EXPIRED"


async def test_a_stream_key_calls_nothing(world: World) -> None:
    response = await world.call(GET_EVENT, {}, world.token(Audience.PUBLISH))
    assert reason(response.json()) == "TOKEN_INVALID"


async def test_a_services_own_token_does_not_work_from_outside(world: World) -> None:
    token = world.issuer.service_token("room")
    response = await world.call(GET_EVENT, {}, {"authorization": f"Bearer {token}"})
    assert (response.status_code, reason(response.json())) == (401, "TOKEN_INVALID")


async def test_a_token_without_a_tenant_does_not_ride_on_the_gateways_own(world: World) -> None:
    headers = world.token(Audience.API, tenant=None, event=None, permissions=("*",))
    response = await world.call(GET_EVENT, {"name": "events/launch"}, headers)
    assert (response.status_code, reason(response.json())) == (403, "PERMISSION_DENIED")


async def test_a_permission_that_the_token_lacks_is_named(world: World) -> None:
    response = await world.call(GET_EVENT, {}, world.bearer("events.list"))
    assert response.status_code == 403
    assert response.json()["details"][0]["debug"]["metadata"] == {"permission": "events.get"}


@pytest.mark.parametrize(
    "path",
    [
        "room.v1.RoomService/PlaceEvent",
        "auth.v1.AuthService/WatchTrust",
        "auth.v1.AuthService/IssueServiceToken",
        "signaling.v1.SignalingService/Publish",
        "transcoder.v1.TranscoderService/Drain",
        "room.v1.RoomService/NoSuchMethod",
        "none.v1.None/None",
    ],
)
async def test_what_is_for_services_only_does_not_exist_outside(world: World, path: str) -> None:
    response = await world.call(path)
    assert (response.status_code, response.json()["code"]) == (404, "unimplemented")


async def test_a_caller_named_in_a_header_is_ignored(world: World) -> None:
    mighty = world.issuer.api_token("*")
    headers = {**world.bearer("events.list"), "x-odeon-caller": mighty}
    response = await world.call(GET_EVENT, {"name": "events/launch"}, headers)
    assert response.status_code == 403


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"name": 5}', b"\xff\xfe", b'{"name":' * 5000])
async def test_garbage_is_refused_as_such(world: World, body: bytes) -> None:
    response = await world.client.post(
        f"/odeon.{GET_EVENT}",
        content=body,
        headers={**world.bearer(), "content-type": "application/json"},
    )
    assert (response.status_code, reason(response.json())) == (400, "MESSAGE_INVALID")


async def test_a_huge_body_is_refused_before_it_is_read(world: World) -> None:
    response = await world.client.post(
        f"/odeon.{GET_EVENT}",
        content=b"x" * (1024 * 1024 + 1),
        headers={**world.bearer(), "content-type": "application/json"},
    )
    assert reason(response.json()) == "PAYLOAD_TOO_LARGE"


async def test_a_zip_bomb_is_refused(world: World) -> None:
    response = await world.client.post(
        f"/odeon.{GET_EVENT}",
        content=gzip.compress(bytes(50 * 1024 * 1024)),
        headers={
            **world.bearer(), "content-type": "application/json", "content-encoding": "gzip",
        },
    )  # fmt: skip
    assert reason(response.json()) == "PAYLOAD_TOO_LARGE"


async def test_other_methods_and_types_are_refused(world: World) -> None:
    got = await world.client.get(f"/odeon.{GET_EVENT}")
    assert (got.status_code, got.headers["allow"]) == (405, "POST")
    typed = await world.client.post(f"/odeon.{GET_EVENT}", content=b"<x/>", headers={
        "content-type": "application/xml",
    })  # fmt: skip
    assert typed.status_code == 415


async def test_a_deadline_must_be_a_number(world: World) -> None:
    response = await world.call(GET_EVENT, {}, {**world.bearer(), "connect-timeout-ms": "soon"})
    assert reason(response.json()) == "TIMEOUT_INVALID"


async def test_a_service_that_is_away_is_unavailable_without_its_address() -> None:
    async with running(room_address="127.0.0.1:1") as world:
        response = await world.call(GET_EVENT, {}, {**world.bearer(), "connect-timeout-ms": "2000"})
    assert response.status_code in (503, 504)
    assert "127.0.0.1" not in response.text


async def test_too_many_calls_are_told_when_to_come_back() -> None:
    async with running(limit_address="3/day") as world:
        answers = [await world.call(GET_EVENT) for _ in range(4)]
    assert answers[-1].status_code == 429
    assert reason(answers[-1].json()) == "RATE_LIMITED"
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert any(d["type"] == "google.rpc.RetryInfo" for d in answers[-1].json()["details"])


async def test_guessing_credentials_is_slowed_down() -> None:
    async with running(limit_failures="3/day") as world:
        guesses = [
            await world.call(GET_EVENT, {}, {"authorization": f"Bearer odk_{n}"}) for n in range(5)
        ]
    assert [g.status_code for g in guesses] == [401, 401, 401, 429, 429]


async def test_guessing_keys_by_the_exchange_call_is_slowed_down() -> None:
    async with running(limit_failures="3/day") as world:
        guesses = [
            await world.call("auth.v1.AuthService/ExchangeApiKey", {"secret": f"odk_{n}"}, {})
            for n in range(5)
        ]
    assert [g.status_code for g in guesses] == [401, 401, 401, 429, 429]


def enveloped(body: bytes) -> bytes:
    return struct.pack(">BI", 0, len(body)) + body


def envelopes(data: bytes) -> list[tuple[int, dict[str, object]]]:
    found = []
    while data:
        flags, size = struct.unpack_from(">BI", data)
        found.append((flags, json.loads(data[5 : 5 + size])))
        data = data[5 + size :]
    return found


async def test_a_stream_that_is_refused_says_so_in_its_last_envelope(world: World) -> None:
    response = await world.client.post(
        "/odeon.analytics.v1.AnalyticsService/WatchEventStats",
        content=enveloped(b'{"event":"events/launch"}'),
        headers={**world.bearer(), "content-type": "application/connect+json"},
    )
    assert response.status_code == 200
    ((flags, end),) = envelopes(response.content)
    assert flags == 2
    assert reason(end["error"]) == "UNAVAILABLE"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "body", [b"", b"\x00\x00", enveloped(b"{}") * 2, b"\x00\xff\xff\xff\xff{}"]
)
async def test_a_streams_request_is_exactly_one_envelope(world: World, body: bytes) -> None:
    response = await world.client.post(
        "/odeon.analytics.v1.AnalyticsService/WatchEventStats",
        content=body,
        headers={**world.bearer(), "content-type": "application/connect+json"},
    )
    ((_, end),) = envelopes(response.content)
    assert reason(end["error"]) == "MESSAGE_INVALID"  # type: ignore[arg-type]
