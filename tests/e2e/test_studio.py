"""What people do on the pages: devices, screen, layouts, guests, numbers, quality, the list."""

import re
from typing import Any

import pytest
from odeon_testkit.pages import (
    GLASS,
    PLAYED,
    STEP_S,
    debugged,
    grows,
    holds,
    strict_browser,
)
from odeon_testkit.product import Product
from odeon_testkit.tenant import Api, publishing
from odeon_testkit.wait import until

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(240)]

SMALL_CAMERA = "?camera=320x180x15#"
"""What two cores bear beside everything else."""


def small(url: str) -> str:
    """A page whose camera takes small pictures."""
    return url.replace("#", SMALL_CAMERA)


async def goes_on_stage(page: Any, url: str, name: str, button: str) -> None:
    """Through the lobby, by one of its buttons."""
    await page.goto(small(url))
    await page.get_by_test_id("display-name").fill(name)
    await page.get_by_test_id(button).click()
    await page.get_by_test_id("tile-own").first.wait_for()


async def layout_is(api: Api, event: str, **fields: str) -> None:
    """Return when the event has this layout."""

    async def set_() -> bool:
        layout = (await api.call("room.v1.RoomService/GetEvent", name=event))["event"]["layout"]
        return all(layout.get(name, "") == value for name, value in fields.items())

    await until(set_, timeout_s=STEP_S)


async def test_the_lobby_shows_the_chosen_camera_and_remembers_it_while_it_is_there(
    api: Api,
) -> None:
    _, links = await api.live_event()
    async with strict_browser("--use-fake-device-for-media-stream=device-count=2") as browser:
        page = await browser.new_page()
        await page.goto(links["guestUrl"])
        preview = "document.querySelector('[data-testid=preview]')"
        label = f"{preview}.srcObject?.getVideoTracks()[0].label"
        await grows(page, f"() => {preview}?.currentTime ?? 0", by=0.5)
        first = await page.evaluate(label)

        await page.get_by_label("Camera", exact=True).select_option(index=1)

        await holds(page, f"() => {label} && {label} !== {first!r}")
        second = await page.evaluate(label)
        await grows(page, f"() => {preview}.currentTime", by=0.5)
        await page.reload()
        await holds(page, f"() => {preview} && {label} === {second!r}")

        await page.evaluate("localStorage.setItem('odeon.devices', '{\"camera\": \"unplugged\"}')")
        await page.reload()
        await grows(page, f"() => {preview}?.currentTime ?? 0", by=0.5)


async def test_layout_buttons_change_the_event_and_the_programmes_picture(
    api: Api, browser: Any
) -> None:
    event, links = await api.live_event()
    studio, audience = await browser.new_page(), await browser.new_page()
    async with publishing(links):
        await goes_on_stage(studio, links["studioUrl"], "Ada", "go-live")
        await studio.locator('[data-testid="tile"] video').first.wait_for()
        await studio.get_by_test_id("choose-grid").click()
        await audience.goto(debugged(links["watchUrl"]))
        await grows(audience, PLAYED, by=2)

        # Full frame, the card can be read; beside another picture it cannot.
        front = studio.get_by_label("In front")
        card = await front.locator("option").filter(has_not_text="Ada").last.get_attribute("value")
        await studio.get_by_test_id("choose-single").click()
        await front.select_option(card)
        await layout_is(api, event, kind="KIND_SINGLE", focus=str(card))
        await grows(audience, GLASS, by=20)

        for name, kind in (("pip", "PICTURE_IN_PICTURE"), ("speaker", "SPEAKER"), ("grid", "GRID")):
            await studio.get_by_test_id(f"choose-{name}").click()
            await layout_is(api, event, kind=f"KIND_{kind}")
        await holds(audience, "() => Date.now() - window.__odeon.glass.samples.at(-1).at > 3000")
        await grows(audience, PLAYED, by=1)

        await studio.get_by_test_id("tab-stats").click()
        await studio.get_by_text("320×180 · ").wait_for()
        watching = studio.locator("dl > div").filter(has_text="Watching now").locator("dd")
        await watching.and_(studio.get_by_text("1", exact=True)).wait_for()
    await api.call("room.v1.RoomService/EndEvent", name=event)


async def test_a_host_shares_a_screen_mutes_a_guest_and_takes_them_off_the_stage(
    api: Api, browser: Any
) -> None:
    event, links = await api.live_event()
    studio, guest = await browser.new_page(), await browser.new_page()
    await goes_on_stage(studio, links["studioUrl"], "Ada", "go-live")
    await goes_on_stage(guest, links["guestUrl"], "Grace", "join")

    await studio.get_by_test_id("share-screen").click()
    screen = '[data-testid="tile"][data-screen="true"]'
    await guest.locator(f"{screen} video").wait_for()
    assert await guest.locator(screen).inner_text() == "Ada: screen"
    await grows(guest, f"() => document.querySelector('{screen} video')?.currentTime ?? 0", by=0.5)
    await studio.get_by_test_id("choose-screen").click()
    await layout_is(api, event, kind="KIND_SCREEN_SPEAKER")
    await studio.get_by_test_id("share-screen").click()
    await guest.locator(screen).wait_for(state="detached")

    for action, button in (
        ("Mute the microphone", "toggle-microphone"),
        ("Turn the camera off", "toggle-camera"),
    ):
        await studio.get_by_label("More for Grace").click()
        await studio.get_by_role("menuitem", name=action).click()
        await guest.locator(f'[data-testid="{button}"][aria-pressed="true"]').wait_for()
    await studio.get_by_label("More for Grace").click()
    await studio.get_by_role("menuitem", name="Take off the stage").click()

    await guest.get_by_text("A host took you off the stage").wait_for()
    await studio.get_by_test_id("tile").wait_for(state="detached")
    await api.call("room.v1.RoomService/EndEvent", name=event)


async def test_a_viewer_sees_the_delay_chooses_a_quality_and_turns_the_sound_on(
    product: Product, browser: Any
) -> None:
    page = await browser.new_page()
    await page.goto(debugged(product["watch_url"]))
    await grows(page, GLASS, by=10)

    shown = "parseFloat(document.querySelector('[data-testid=latency]').innerText)"
    await holds(page, f"() => {shown} >= 0.5 && {shown} <= 5")
    await page.get_by_test_id("quality-menu").click()
    await page.get_by_role("menuitemradio", name=re.compile("^240p")).click()
    await holds(page, "() => document.querySelector('video').videoHeight === 240")
    await page.get_by_test_id("unmute").click()

    await holds(page, "() => !document.querySelector('video').muted")
    await page.get_by_test_id("unmute").wait_for(state="detached")
    await grows(page, PLAYED, by=1)


async def test_a_guest_who_watches_finds_the_way_to_the_stage(api: Api, browser: Any) -> None:
    event, links = await api.live_event()
    page = await browser.new_page()
    await page.goto(links["guestUrl"].replace("/guest/", "/watch/"))

    await page.get_by_test_id("join-as-guest").click()

    await page.get_by_test_id("join").wait_for()
    assert "/guest/" in page.url
    await api.call("room.v1.RoomService/EndEvent", name=event)


async def test_whoever_has_a_key_signs_in_and_sees_creates_and_opens_events(
    product: Product, browser: Any
) -> None:
    page = await browser.new_page()
    await page.goto(product["gateway"])
    await page.get_by_test_id("api-key").fill("odk_wrong_key")
    await page.get_by_test_id("sign-in").click()
    await page.get_by_text("This key does not work.").wait_for()

    await page.get_by_test_id("api-key").fill(product["api_key"])
    await page.get_by_test_id("sign-in").click()

    events = page.get_by_test_id("events").get_by_role("listitem")
    demo = events.filter(has_text="Odeon test card")
    await demo.get_by_text("Live", exact=True).wait_for()
    await page.get_by_test_id("new-title").fill("Spring gala")
    await page.get_by_role("button", name="Create").click()
    await events.filter(has_text="Spring gala").get_by_role("button", name="Studio").click()
    await page.get_by_test_id("go-live").wait_for()
