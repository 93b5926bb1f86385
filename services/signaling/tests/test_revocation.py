"""Who is on a stage or watches is off it within five seconds of the revocation, by either way."""

import asyncio

import pytest
from odeon.signaling.v1 import stage_pb2
from odeon_testkit.callers import refusal
from odeon_testkit.revoking import WAYS, only_by

from .conftest import running, until

WITHIN_S = 5.0
"""The product's limit for signaling, gateway and edges."""


@pytest.mark.parametrize("way", WAYS)
async def test_an_ended_session_is_off_the_stage_off_the_audience_and_stays_out(way: str) -> None:
    async with only_by(way) as (nats_url, revoke), running(nats_url=nats_url) as world:
        ann, bob = await world.join("ann"), await world.join("bob")
        await world.whip()
        viewer, _ = await world.whep()
        await until(lambda: viewer.recv(0))

        async with asyncio.timeout(WITHIN_S):
            while not ann.all("closed"):
                await revoke(world.auth, "acme", "sid-ann")
                await asyncio.sleep(0.1)
            await revoke(world.auth, "acme", "sid-viewer")
            await until(lambda: [e for e in viewer.poll_events(0) if e.kind == "closed"])

        assert ann.all("closed")[0].reason == "REVOKED"
        again = await world.open(stage_pb2.StageJoin(token=world.stage_token("ann")))
        assert await refusal(again._reader) == ("UNAUTHENTICATED", "TOKEN_REVOKED")  # type: ignore[arg-type]
        assert not bob.all("closed")
