"""Headless Chromium (Debian's) driven by Playwright, with fake camera and microphone."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

_FLAGS = [
    "--no-sandbox",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
    "--disable-gpu",
    # A page that is measured must not be slowed down for being in the background.
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-renderer-backgrounding",
]


class ChromiumMissing(RuntimeError):
    """No browser to drive; says how to get one."""


def chromium_program() -> str:
    """Path of the browser: ODEON_CHROMIUM, else Debian's."""
    path = os.environ.get("ODEON_CHROMIUM") or shutil.which("chromium")
    if path is None or not Path(path).exists():
        raise ChromiumMissing("Chromium is needed. Debian: apt install chromium")
    return path


@asynccontextmanager
async def chromium(*flags: str, locale: str = "en-US") -> AsyncIterator[Any]:
    """A browser context (Playwright's); pages it opens may use camera and microphone."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_program(), args=[*_FLAGS, *flags]
        )
        try:
            context = await browser.new_context(
                locale=locale,
                viewport={"width": 1280, "height": 800},
                permissions=["camera", "microphone"],
                ignore_https_errors=True,
            )
            yield context
        finally:
            await browser.close()
