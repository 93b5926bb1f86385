"""A real browser: as subscriber, offer after offer on one connection; as WHIP publisher."""

import asyncio
import operator
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_media import Frame
from odeon_runtime.tokens import Audience
from playwright.async_api import Page, async_playwright

from .conftest import StageClient, World, eventually, until

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ANSWER = """async (sdp) => {
  window.pc ??= new RTCPeerConnection();
  await window.pc.setRemoteDescription({type: "offer", sdp});
  await window.pc.setLocalDescription(await window.pc.createAnswer());
  return window.pc.localDescription.sdp;
}"""
DECODED = """async () => {
  const frames = {};
  (await window.pc.getStats()).forEach((s) => {
    if (s.type === "inbound-rtp" && s.kind === "video") frames[s.mid] = s.framesDecoded;
  });
  return frames;
}"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        yield await browser.new_page()
        await browser.close()


async def answer_offers(client: StageClient, page: Page) -> None:
    answered = 0
    while True:
        for offer in client.all("subscribe_offer")[answered:]:
            sdp: str = await page.evaluate(ANSWER, offer.sdp)
            answer = stage_pb2.SessionDescription(sdp=sdp, revision=offer.revision)
            await client.send(subscribe_answer=answer)
            answered += 1
        await asyncio.sleep(0.02)


async def test_a_browser_gets_whoever_comes_on_the_same_connection(
    world: World, page: Page
) -> None:
    bob = await world.join("bob")
    bob.answers = False
    answering = asyncio.create_task(answer_offers(bob, page))

    async def decoded() -> dict[str, Any]:
        frames: dict[str, Any] = await page.evaluate("window.pc ? 1 : 0") and await page.evaluate(
            DECODED
        )
        return frames or {}

    async def sources() -> int:
        return sum(frames > 0 for frames in (await decoded()).values())

    for number, who in enumerate(("ann", "cid"), start=1):
        await (await world.join(who)).publish()
        await eventually(sources, partial(operator.eq, number))
    answering.cancel()
    with suppress(asyncio.CancelledError):
        await answering
    assert not bob.all("error")


PUBLISH = """async () => {
  const canvas = document.createElement("canvas");
  const ink = canvas.getContext("2d");
  let hue = 0;
  setInterval(() => {
    ink.fillStyle = `hsl(${hue++} 80% 50%)`;
    ink.fillRect(0, 0, canvas.width, canvas.height);
  }, 50);
  window.pc = new RTCPeerConnection();
  window.pc.addTransceiver(canvas.captureStream(20).getVideoTracks()[0], {direction: "sendonly"});
  await window.pc.setLocalDescription(await window.pc.createOffer());
  return window.pc.localDescription.sdp;
}"""
ANSWERED = """async (sdp) => {
  await window.pc.setRemoteDescription({type: "answer", sdp});
}"""
RESTART = """async () => {
  window.pc.restartIce();
  await window.pc.setLocalDescription(await window.pc.createOffer());
  return window.pc.localDescription.sdp;
}"""
ON_THE_WIRE = """async () => {
  let found = null;
  (await window.pc.getStats()).forEach((s) => {
    if (s.type === "transport") found = s.iceLocalUsernameFragment;
  });
  return [found, window.pc.iceConnectionState];
}"""


def ice_of(text: str) -> tuple[str, str]:
    """(ufrag, pwd) of a session description or fragment."""
    ufrag, pwd = (re.search(rf"a=ice-{name}:(\S+)", text) for name in ("ufrag", "pwd"))
    assert ufrag is not None and pwd is not None
    return ufrag.group(1), pwd.group(1)


async def test_a_whip_publisher_restarts_ice_and_its_media_flows_over_the_fresh_one(
    world: World, page: Page
) -> None:
    ann = await world.join("ann")
    token = world.issuer.token(Audience.PUBLISH, subject="obs", role="publisher")
    session = await world.stub.Publish(
        signaling_pb2.PublishRequest(
            token=token, event="events/launch", sdp_offer=await page.evaluate(PUBLISH)
        )
    )
    await page.evaluate(ANSWERED, session.sdp_answer)
    await ann.frames()

    restarted: str = await page.evaluate(RESTART)
    ufrag, pwd = ice_of(restarted)
    answer = await world.stub.PatchSession(
        signaling_pb2.PatchSessionRequest(
            token=token,
            session_id=session.session_id,
            sdp_fragment=f"a=ice-ufrag:{ufrag}\r\na=ice-pwd:{pwd}\r\n",
            if_match=session.etag,
        )
    )
    assert answer.etag != session.etag
    told = session.sdp_answer
    for old, new in zip(ice_of(told), ice_of(answer.sdp_fragment), strict=True):
        told = told.replace(old, new)
    await page.evaluate(ANSWERED, told)

    async def wire() -> list[str]:
        state: list[str] = await page.evaluate(ON_THE_WIRE)
        return state

    await eventually(wire, lambda state: state in ([ufrag, "connected"], [ufrag, "completed"]))
    ann.subscriber.recv(0)
    frames: list[Frame] = []

    def two_seconds_of_it() -> bool:
        frames.extend(ann.subscriber.recv(0))
        return len(frames) >= 40

    await until(two_seconds_of_it)
    assert not ann.all("participant_left")
