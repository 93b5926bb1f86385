"""The gateway lets nobody in five seconds after their session was ended, by either way."""

import asyncio

import pytest
from odeon.room.v1 import room_pb2
from odeon_runtime.tokens import Audience
from odeon_testkit.revoking import WAYS, only_by

from .conftest import running

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
