"""A real gateway over real gRPC neighbours: the issuer's auth, a scripted room, a real node."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from odeon_gateway.app import gateway
from odeon_gateway.settings import GatewaySettings
from odeon_runtime.tokens import Audience
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, IssuerAuth, auth_server
from odeon_testkit.room import ScriptedRoom, room_server

T = TypeVar("T")


async def until(check: Callable[[], T | None], within_s: float = 10.0) -> T:
    """Wait until `check` gives something true; bounded."""
    async with asyncio.timeout(within_s):
        while True:
            found = check()
            if found:
                return found
            await asyncio.sleep(0.01)


@dataclass
class World:
    """A running gateway and what surrounds it."""

    issuer: Issuer
    auth: IssuerAuth
    room: ScriptedRoom
    room_address: str
    auth_address: str
    http: str
    grpc: str
    client: httpx.AsyncClient
    stack: AsyncExitStack

    def bearer(self, *permissions: str, **claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.issuer.api_token(*permissions, **claims)}"}

    def token(self, audience: Audience, **claims: Any) -> dict[str, str]:
        return {"authorization": f"Bearer {self.issuer.token(audience, **claims)}"}

    async def call(
        self, method: str, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """A unary JSON call, by default as the tenant's server."""
        return await self.client.post(
            f"/odeon.{method}",
            json=body or {},
            headers=self.bearer() if headers is None else headers,
        )


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[World]:
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        auth_address, auth = await stack.enter_async_context(auth_server(issuer))
        room_address, room = await stack.enter_async_context(room_server(issuer))
        chosen = GatewaySettings(
            **{
                "auth_address": auth_address,
                "room_address": room_address,
                "service_secret": SERVICE_SECRET,
                "web_root": Path("/nonexistent"),
                **settings,
            }
        )
        addresses = await stack.enter_async_context(gateway(chosen))
        base = f"http://{addresses['http']}"
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base, timeout=10))
        yield World(
            issuer, auth, room, room_address, auth_address,
            base, addresses["grpc"], client, stack,
        )  # fmt: skip


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running() as made:
        yield made
