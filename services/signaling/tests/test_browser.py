"""A real browser as subscriber: offer after offer on one peer connection."""

import asyncio
import operator
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from odeon.signaling.v1 import stage_pb2
from playwright.async_api import Page, async_playwright

from .conftest import StageClient, World, eventually

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
