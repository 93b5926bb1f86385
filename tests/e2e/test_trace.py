"""One trace tells the whole way in, from the click to the first picture."""

import pytest
from odeon_testkit.chromium import chromium
from odeon_testkit.otlp import SeenSpan, otlp_receiver
from odeon_testkit.product import running_product

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(180)]

STEPS = ("join", "placement", "ice", "dtls", "first_rtp", "first_frame")


def is_complete(spans: list[SeenSpan]) -> bool:
    return set(STEPS) <= {span.name for span in spans}


async def test_one_trace_shows_every_step_from_the_click_to_the_first_picture() -> None:
    async with (
        otlp_receiver() as receiver,
        running_product(
            "--demo-size", "320x180", env={"ODEON_OTLP_ENDPOINT": receiver.endpoint}
        ) as product,
        chromium() as browser,
    ):
        page = await browser.new_page()
        await page.goto(product["watch_url"])
        await page.get_by_test_id("choose-whep").click(timeout=45_000)
        spans = await receiver.trace_where(is_complete, limit_s=60)

    of_page = {span.name for span in spans if span.service == "odeon-web"}
    assert {"join", "first_frame"} <= of_page
    assert {"odeon-gateway", "odeon-signaling"} <= {span.service for span in spans}
    starts = {span.name: span.start_ns for span in sorted(spans, key=lambda s: -s.start_ns)}
    assert starts["join"] <= starts["placement"] <= starts["ice"] <= starts["dtls"]
    assert starts["dtls"] <= starts["first_rtp"]
