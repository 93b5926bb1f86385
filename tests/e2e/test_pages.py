"""The pages in a real browser: a host goes live, a guest joins, the audience watches."""

from typing import Any

import pytest
from odeon_testkit.pages import (
    GLASS,
    PLAYED,
    STEP_S,
    PolicyViolated,
    debugged,
    grows,
    holds,
    strict_browser,
)
from odeon_testkit.product import Product
from odeon_testkit.tenant import Api, publishing, until_playing
from odeon_testkit.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(180)]

LATENCY_MS = "window.__odeon.glass.samples.at(-1).latencyMs"
"""How old the picture is that the page shows, by the clock in the picture."""


async def test_a_page_that_breaks_its_security_policy_fails_its_test(product: Product) -> None:
    with pytest.raises(PolicyViolated, match="script-src-elem"):
        async with strict_browser() as context:
            page = await context.new_page()
            await page.goto(product["gateway"])
            await page.evaluate(
                "document.head.append(Object.assign(document.createElement('script'), "
                "{ src: 'https://elsewhere.example/x.js' }))"
            )


async def test_the_audience_watches_with_rewind_then_instantly_and_back(
    product: Product, browser: Any
) -> None:
    page = await browser.new_page()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    await page.goto(debugged(product["watch_url"]))

    await grows(page, GLASS, by=20)
    for choice in ("choose-whep", "choose-hls"):
        await page.get_by_test_id(choice).click()
        await grows(page, GLASS, by=20)

    assert broken == []


async def test_the_watch_page_speaks_chinese_when_asked(product: Product, browser: Any) -> None:
    page = await browser.new_page()
    await page.goto(debugged(product["watch_url"]))

    await page.get_by_test_id("language").click()

    await page.get_by_text("直播中").first.wait_for()
    assert await page.evaluate("document.documentElement.lang") in ("zh", "zh-CN")


async def test_a_viewer_goes_back_in_time_and_returns_to_live(
    product: Product, browser: Any
) -> None:
    page = await browser.new_page()
    await page.goto(debugged(product["watch_url"]))
    await grows(page, GLASS, by=10)
    await holds(page, "() => document.querySelector('video').currentTime > 15")

    await page.evaluate("() => { document.querySelector('video').currentTime = 1 }")
    await holds(page, f"() => {LATENCY_MS} > 10_000")
    back = page.get_by_test_id("back-to-live")
    await back.and_(page.get_by_text("Back to live")).click()

    await holds(page, f"() => {LATENCY_MS} < 10_000")
    await grows(page, GLASS, by=10)
    assert await page.evaluate(LATENCY_MS) < 10_000, "back to live must leave the past for good"


async def test_a_host_goes_live_and_the_audience_sees_it(api: Api, browser: Any) -> None:
    body = await api.call("room.v1.RoomService/CreateEvent", event={"title": "Launch"})
    links = body["links"]
    studio, audience = await browser.new_page(), await browser.new_page()
    await audience.goto(debugged(links["watchUrl"]))
    await audience.get_by_test_id("waiting-for-host").wait_for()

    await studio.goto(links["studioUrl"])
    await studio.get_by_test_id("display-name").fill("Ada")
    await studio.get_by_test_id("go-live").click()
    await studio.get_by_test_id("tile-own").wait_for()

    await grows(audience, PLAYED, by=3)
    state = await api.call("room.v1.RoomService/GetEvent", name=body["event"]["name"])
    assert state["event"]["state"] == "STATE_LIVE"

    await studio.get_by_test_id("end-event").click()
    await studio.get_by_role("dialog").get_by_role("button").last.click()

    async def ended() -> bool:
        found = await api.call("room.v1.RoomService/GetEvent", name=body["event"]["name"])
        return bool(found["event"]["state"] == "STATE_ENDED")

    await until(ended, timeout_s=STEP_S)


async def test_a_guest_waits_is_admitted_and_meets_the_host(api: Api, browser: Any) -> None:
    event, links = await api.live_event(waitingRoom=True)
    studio, guest = await browser.new_page(), await browser.new_page()
    await studio.goto(links["studioUrl"])
    await studio.get_by_test_id("go-live").click()
    await studio.get_by_test_id("tile-own").wait_for()

    await guest.goto(links["guestUrl"])
    await guest.get_by_test_id("display-name").fill("Grace")
    await guest.get_by_test_id("join").click()
    await guest.get_by_test_id("waiting-room").wait_for()
    await studio.get_by_test_id("admit").click()

    await guest.get_by_test_id("tile-own").wait_for()
    await studio.get_by_test_id("tile").first.wait_for()
    for page in (studio, guest):
        remote = page.locator('[data-testid="tile"] video').first
        await remote.wait_for()
        await grows(
            page,
            "() => document.querySelector('[data-testid=tile] video')?.currentTime ?? 0",
            by=1,
        )
    await api.call("room.v1.RoomService/EndEvent", name=event)


async def test_the_page_of_an_ended_event_plays_its_recording_and_plays_it_again(
    api: Api, browser: Any
) -> None:
    event, links = await api.live_event()
    async with publishing(links):
        await until_playing(links["playlistUrl"], segments=3)
    await api.call("room.v1.RoomService/EndEvent", name=event)

    page = await browser.new_page()
    await page.goto(debugged(links["watchUrl"]))

    await grows(page, PLAYED, by=2)
    began = await page.evaluate("document.querySelector('video').played.start(0)")
    assert began < 1, "a recording plays from its beginning"
    again = page.get_by_test_id("from-start")
    await again.wait_for()
    ended_at = await page.evaluate(PLAYED)

    await again.click()

    await holds(page, f"() => ({PLAYED})() < {ended_at / 2}")
    await grows(page, PLAYED, by=1)
