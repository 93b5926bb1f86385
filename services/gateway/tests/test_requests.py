"""Who asks, when there are proxies in front: what a client makes up must not count."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import grpc
import pytest
from odeon.room.v1 import room_pb2, room_pb2_grpc
from odeon_gateway.requests import forwarded_address
from odeon_testkit import wire

from .conftest import World, running

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"


@pytest.mark.parametrize(
    ("lines", "trusted", "address"),
    [
        ([CLIENT], 0, PROXY),
        ([], 1, PROXY),
        ([CLIENT], 1, CLIENT),
        (["1.2.3.4, " + CLIENT], 1, CLIENT),
        (["1.2.3.4", CLIENT], 1, CLIENT),
        (["1.2.3.4", f"{CLIENT}, 10.0.0.2"], 2, CLIENT),
        (["1.2.3.4", CLIENT, "10.0.0.2"], 2, CLIENT),
        ([" , ", CLIENT], 1, CLIENT),
        ([CLIENT], 2, PROXY),
    ],
)
def test_the_last_entries_over_all_header_lines_are_the_proxies(
    lines: list[str], trusted: int, address: str
) -> None:
    assert forwarded_address(lines, PROXY, trusted) == address


@pytest.fixture
async def behind_a_proxy() -> AsyncIterator[World]:
    async with running(trusted_proxies=1, limit_address="3/day") as world:
        yield world


async def call(world: World, **forwarded: str) -> int:
    """A call's status; several spellings of a header are several lines."""
    headers = {
        **{name.replace("_", "-"): value for name, value in forwarded.items()},
        **world.bearer(),
        "Content-Type": "application/json",
    }
    path = "/odeon.room.v1.RoomService/GetEvent"
    return (await wire.ask(world.http, path, method="POST", headers=headers)).status


async def test_made_up_lines_do_not_evade_the_limit_of_an_address(behind_a_proxy: World) -> None:
    statuses = [
        await call(behind_a_proxy, X_Forwarded_For=f"1.2.3.{number}", x_forwarded_for=CLIENT)
        for number in range(5)
    ]

    assert 429 not in statuses[:3]
    assert statuses[3:] == [429, 429]


async def test_another_client_of_the_same_proxy_has_a_limit_of_its_own(
    behind_a_proxy: World,
) -> None:
    statuses = [
        await call(behind_a_proxy, X_Forwarded_For=f"203.0.113.{number}") for number in range(5)
    ]

    assert 429 not in statuses


async def test_made_up_metadata_does_not_evade_it_over_grpc() -> None:
    codes = []
    async with AsyncExitStack() as stack:
        world = await stack.enter_async_context(running(trusted_proxies=2, limit_address="3/day"))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(world.grpc))
        stub = room_pb2_grpc.RoomServiceStub(channel)
        for number in range(5):
            hops = (f"1.2.3.{number}", CLIENT, "10.0.0.2")
            metadata = tuple(("x-forwarded-for", hop) for hop in hops)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetEvent(
                    room_pb2.GetEventRequest(), metadata=(*metadata, *world.bearer().items())
                )
            codes.append(refused.value.code())

    assert codes == [grpc.StatusCode.NOT_FOUND] * 3 + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2
