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


_RUNNING = pytest.StashKey[Product]()


@pytest.fixture(scope="session")
def product(background: asyncio.Runner, pytestconfig: pytest.Config) -> Iterator[Product]:
    """The running deployment with its demo event."""
    demo = ("--demo-size", SIZE, "--demo-frame-rate", str(FRAME_RATE))
    running = running_product("--edges", "2", *demo)
    product = background.run(running.__aenter__())
    pytestconfig.stash[_RUNNING] = product
    yield product
    del pytestconfig.stash[_RUNNING]
    background.run(running.__aexit__(None, None, None))


@pytest.fixture(scope="module", autouse=True)
def events_of_a_module_end_with_it(
    background: asyncio.Runner, pytestconfig: pytest.Config
) -> Iterator[None]:
    """Encoders of events that nobody watches any more would starve the tests that follow."""
    yield
    product = pytestconfig.stash.get(_RUNNING, None)
    if product is not None:
        background.run(_end_events(product))


async def _end_events(product: Product) -> None:
    async with api_with(product["gateway"], product["api_key"]) as api:
        listed = await api.call(
            "room.v1.RoomService/ListEvents",
            page_size=100,
            states=["STATE_WARMUP", "STATE_LIVE"],
        )
        running = {event["name"] for event in listed["events"]}
        for name in running - {f"events/{product['event']}"}:
            await api.call("room.v1.RoomService/EndEvent", name=name)


@pytest.fixture
async def api(product: Product) -> AsyncIterator[Api]:
    async with api_with(product["gateway"], product["api_key"]) as api:
        yield api


@pytest.fixture
async def browser() -> AsyncIterator[Any]:
    """Chromium with a fake camera; its pages must keep to their security policy."""
    async with strict_browser() as context:
        yield context
