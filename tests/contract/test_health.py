"""Health and reflection (gRPC's own protocols) of every service, the gateway's face included."""

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from odeon_testkit.callers import Deployment

from .conftest import SERVICES, deployed
from .test_permissions import reflected

Status = health_pb2.HealthCheckResponse
EVERY = [service.name for service in SERVICES]
FACING = {"auth", "room", "recorder", "analytics"}
WITHIN_S = 30.0
on_the_module = pytest.mark.asyncio(loop_scope="module")


@on_the_module
@pytest.mark.parametrize("name", EVERY)
async def test_every_service_says_that_it_serves_as_a_whole_and_by_name(
    deployment: Deployment, name: str
) -> None:
    channel = deployment.channels[name]
    health = health_pb2_grpc.HealthStub(channel)

    for service in ["", *(s for s in await reflected(channel) if s.startswith("odeon."))]:
        answer = await health.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == Status.SERVING, service


@on_the_module
async def test_the_gateway_reflects_the_services_that_outsiders_may_call(
    deployment: Deployment,
) -> None:
    listed = await reflected(deployment.channels["gateway"])

    ours = {name.split(".")[1] for name in listed if name.startswith("odeon.")}
    assert ours == FACING
    for name in FACING:
        behind = await reflected(deployment.channels[name])
        assert {n: listed[n] for n in behind if n.startswith("odeon.")} == {
            n: methods for n, methods in behind.items() if n.startswith("odeon.")
        }


async def followed(address: str, serving: asyncio.Event) -> list[int]:
    """Every status that a service tells until it is gone."""
    told: list[int] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        with suppress(grpc.aio.AioRpcError):
            async for answer in stream:
                told.append(answer.status)
                serving.set()
    return told


async def test_every_service_says_that_it_serves_no_more_before_it_goes(tmp_path: Path) -> None:
    following: dict[str, asyncio.Task[list[int]]] = {}
    async with deployed(tmp_path) as deployment:
        for name, address in deployment.addresses.items():
            serving = asyncio.Event()
            following[name] = asyncio.create_task(followed(address, serving), name=name)
            await asyncio.wait_for(serving.wait(), WITHIN_S)

    async with asyncio.timeout(WITHIN_S):
        told = {name: await task for name, task in following.items()}
    assert told == {name: [Status.SERVING, Status.NOT_SERVING] for name in EVERY}
