"""The gateway lets nobody in five seconds after their session was ended, by either way."""

import asyncio

import pytest
from joserfc.jwk import ECKey
from odeon.room.v1 import room_pb2
from odeon_gateway import credentials
from odeon_runtime.tokens import Audience
from odeon_testkit.callers import eventually
from odeon_testkit.revoking import WAYS, only_by

from .conftest import World, running

GET_EVENT = "room.v1.RoomService/GetEvent"
WITHIN_S = 5.0
"""The product's limit for signaling, gateway and edges."""


@pytest.mark.parametrize("way", WAYS)
async def test_an_ended_session_calls_nothing_more_and_others_go_on(way: str) -> None:
    async with only_by(way) as (nats_url, revoke), running(nats_url=nats_url) as world:
        world.room.events["launch"] = room_pb2.Event.STATE_LIVE
        alice, bob = (
            world.token(Audience.API, session_id=f"sid-{who}", permissions=("events.get",))
            for who in ("alice", "bob")
        )
        request = {"name": "events/launch"}
        assert (await world.call(GET_EVENT, request, alice)).status_code == 200

        async with asyncio.timeout(WITHIN_S):
            while (answer := await world.call(GET_EVENT, request, alice)).status_code == 200:
                await revoke(world.auth, "acme", "sid-alice")
                await asyncio.sleep(0.05)

        reasons = [d["debug"]["reason"] for d in answer.json()["details"] if "debug" in d]
        assert (answer.status_code, reasons) == (401, ["TOKEN_REVOKED"])
        assert (await world.call(GET_EVENT, request, bob)).status_code == 200


async def test_an_api_key_goes_on_at_once_when_the_key_that_signed_its_token_leaked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_RECHECK_S", 3600.0)  # it is not that which helps
    world.room.events["launch"] = room_pb2.Event.STATE_LIVE
    world.auth.api_keys["odk_good"] = "acme"
    headers = {"authorization": "Bearer odk_good"}

    async def answers() -> bool:
        request = {"name": "events/launch"}
        return (await world.call(GET_EVENT, request, headers)).status_code == 200

    assert await answers()
    world.issuer.key = ECKey.generate_key("P-256", {"kid": "successor"})
    world.issuer.trust.set_keys(world.issuer.jwks_json)  # the gateway hears of it from auth

    await eventually(answers)
    assert world.auth.exchanges == 2
