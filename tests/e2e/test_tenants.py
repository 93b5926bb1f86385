"""Tenants never see each other, from outside, on every face of the product."""

import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from odeon_testkit.product import Product
from odeon_testkit.tenant import Api, api_with


@pytest.fixture
async def rival(product: Product, api: Api) -> AsyncIterator[Api]:
    created = await api.call(
        "auth.v1.AuthService/CreateTenant", tenant_id=f"rival-{secrets.token_hex(3)}"
    )
    async with api_with(product["gateway"], created["secret"]) as rival:
        yield rival


@pytest.mark.parametrize(
    ("method", "fields"),
    [
        ("room.v1.RoomService/GetEvent", {"name": "events/demo"}),
        ("room.v1.RoomService/EndEvent", {"name": "events/demo"}),
        ("room.v1.RoomService/SetLayout", {"name": "events/demo", "layout": {"kind": "KIND_GRID"}}),
        ("room.v1.RoomService/ListParticipants", {"parent": "events/demo"}),
        ("recorder.v1.RecorderService/GetTimeline", {"name": "timelines/demo"}),
        ("recorder.v1.RecorderService/DeleteTimeline", {"name": "timelines/demo"}),
    ],
)
async def test_another_tenants_event_does_not_exist(
    rival: Api, method: str, fields: dict[str, object]
) -> None:
    answer = await rival.ask(method, **fields)

    assert answer.status_code in (403, 404), answer.text
    assert answer.json()["code"] in ("not_found", "permission_denied")


async def test_another_tenants_events_are_not_listed(rival: Api) -> None:
    assert not (await rival.call("room.v1.RoomService/ListEvents")).get("events")


async def test_a_token_of_one_tenants_event_opens_no_other(product: Product, rival: Api) -> None:
    _, links = await rival.live_event()
    stolen = links["playlistUrl"].split("/t/")[1].split("/")[0]

    async with httpx.AsyncClient(timeout=15) as http:
        playlist = await http.get(f"{product['edge']}/t/{stolen}/default/demo/main.m3u8")
        headers = {"Authorization": f"Bearer {links['whipToken']}"}
        whip = await http.post(
            product["whip_url"],
            content="v=0\r\n",
            headers={**headers, "Content-Type": "application/sdp"},
        )
        whep = await http.post(
            product["whep_url"],
            content="v=0\r\n",
            headers={"Authorization": f"Bearer {stolen}", "Content-Type": "application/sdp"},
        )

    assert playlist.status_code == 403
    assert whip.status_code in (401, 403, 404), whip.text
    assert whep.status_code in (401, 403, 404), whep.text


async def test_garbage_at_the_media_doors_gets_a_clear_refusal(product: Product, api: Api) -> None:
    _, links = await api.live_event()
    headers = {"Authorization": f"Bearer {links['whipToken']}", "Content-Type": "application/sdp"}

    async with httpx.AsyncClient(timeout=15) as http:
        garbage = await http.post(links["whipUrl"], content=b"\x00\xff" * 40, headers=headers)
        huge = await http.post(links["whipUrl"], content=b"a" * 2**20, headers=headers)
        nobody = await http.post(links["whipUrl"], content="v=0\r\n")

    assert garbage.status_code in (400, 415), garbage.text
    assert huge.status_code in (400, 413), huge.text
    assert nobody.status_code == 401, nobody.text
