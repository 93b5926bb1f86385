"""One deployment for all end-to-end tests: 640x360 at 15 fps, what two cores bear."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from odeon_testkit.pages import strict_browser
from odeon_testkit.product import Product, running_product
from odeon_testkit.tenant import FRAME_RATE, SIZE, Api, api_with


@pytest.fixture(scope="session")
def background() -> Iterator[asyncio.Runner]:
    """A loop that outlives the tests' own loops."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def product(background: asyncio.Runner) -> Iterator[Product]:
    """The running deployment with its demo event."""
    demo = ("--demo-size", SIZE, "--demo-frame-rate", str(FRAME_RATE))
    running = running_product("--edges", "2", *demo)
    product = background.run(running.__aenter__())
    yield product
    background.run(running.__aexit__(None, None, None))


@pytest.fixture
async def api(product: Product) -> AsyncIterator[Api]:
    async with api_with(product["gateway"], product["api_key"]) as api:
        yield api


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """Chromium with a fake camera; its pages must keep to their security policy."""
    async with strict_browser() as context:
        yield context
