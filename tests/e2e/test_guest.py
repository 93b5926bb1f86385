"""A guest with another WebRTC stack: on stage by link, seen and heard by the audience."""

import asyncio

import httpx
import pytest
from odeon_testkit.guest import guest
from odeon_testkit.recording import beeps, fetch, frames, renditions
from odeon_testkit.tenant import FRAME_RATE, Api, until_playing
from odeon_testkit.testcard import TestCard
from odeon_testkit.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


async def test_an_aiortc_guest_is_met_on_stage_and_seen_and_heard_by_the_audience(
    api: Api,
) -> None:
    event, links = await api.live_event()

    async with guest(links["guestUrl"], "Ada") as ada, guest(links["guestUrl"], "Bob") as bob:
        assert ada.joined.role == "guest"
        await ada.publish(TestCard(640, 360, FRAME_RATE))

        async def met() -> bool:
            return bob.pictures >= FRAME_RATE and bob.sounds >= 50

        await until(met, timeout_s=45)
        assert (ada.pictures, ada.sounds) == (0, 0), "nobody gets back what they send"
        await until_playing(links["playlistUrl"], segments=3, limit_s=60)
        async with httpx.AsyncClient(timeout=15) as http:
            video, audio = await renditions(http, links["playlistUrl"])
            _, pictures = await fetch(http, video[0], last_segments=2)
            _, sound = await fetch(http, audio[0], last_segments=2)
    await api.call("room.v1.RoomService/EndEvent", name=event)

    seen = [f for f in await asyncio.to_thread(frames, pictures[-1]) if f.card is not None]
    assert len(seen) >= 2 * FRAME_RATE, "the audience does not see the guest's card"
    assert len(await asyncio.to_thread(beeps, sound[-1])) >= 2, "the audience hears no beeps"
