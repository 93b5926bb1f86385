"""Figures of an event: what viewers did and told is what the host sees."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from odeon_testkit.product import Product, running_product
from odeon_testkit.wait import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SMALL = ("--demo-size", "320x180", "--demo-frame-rate", "15")
BY_HLS, BY_WHEP, SILENT = 20, 5, 10


class Host:
    """Calls the gateway's JSON face with the deployment's API key."""

    def __init__(self, product: Product, http: httpx.AsyncClient) -> None:
        self._product = product
        self._http = http
        self._token = ""

    async def call(self, method: str, token: str = "", **body: Any) -> dict[str, Any]:
        if not token and not self._token:
            self._token = "-"
            secret = self._product["api_key"]
            exchanged = await self.call("auth.v1.AuthService/ExchangeApiKey", "-", secret=secret)
            self._token = exchanged["token"]
        headers = {"Authorization": f"Bearer {token or self._token}"} if token != "-" else {}
        url = f"{self._product['gateway']}/odeon.{method}"
        response = await self._http.post(url, json=body, headers=headers)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def playback_token(self) -> str:
        answer = await self.call(
            "auth.v1.AuthService/IssueToken", kind="TOKEN_KIND_PLAYBACK", event="events/demo"
        )
        return str(answer["token"])

    async def figures(self) -> dict[str, Any]:
        answer = await self.call("analytics.v1.AnalyticsService/GetEventStats", event="events/demo")
        stats: dict[str, Any] = answer["stats"]
        return stats


@pytest.fixture
async def product() -> AsyncIterator[Product]:
    async with running_product(*SMALL) as product:
        yield product


async def test_figures_are_what_viewers_did_and_told(product: Product) -> None:
    async with httpx.AsyncClient(timeout=20) as http:
        host = Host(product, http)
        tokens = [await host.playback_token() for _ in range(BY_HLS + BY_WHEP + SILENT)]

        async def watch(index: int, token: str) -> None:
            """Ask the edge as a player does, and tell as ours does, unless silent."""
            if index < BY_HLS or index >= BY_HLS + BY_WHEP:
                playlist = f"{product['edge']}/t/{token}/default/demo/main.m3u8"
                (await http.get(playlist)).raise_for_status()
            if index >= BY_HLS + BY_WHEP:
                return
            beacons = [
                {"sequence": "1", "kind": "KIND_START_REQUESTED"},
                {"sequence": "2", "kind": "KIND_FIRST_FRAME", "startup": "0.500s"},
                {"sequence": "3", "kind": "KIND_HEARTBEAT", "watched": "9s", "stalled": "1s"},
            ]
            for beacon in beacons:
                beacon["protocol"] = "hls" if index < BY_HLS else "whep"
            for _ in range(2):  # Once more, as after a lost answer.
                await host.call(
                    "analytics.v1.AnalyticsService/SendBeacons",
                    token,
                    event="events/demo",
                    beacons=beacons,
                )

        async def counted() -> bool:
            # Edges forget a viewer after ten seconds without a request.
            await asyncio.gather(*(watch(n, token) for n, token in enumerate(tokens)))
            figures = await host.figures()
            return int(figures.get("concurrentViewers", 0)) >= len(tokens)

        await until(counted, timeout_s=60)
        figures = await host.figures()

    told = BY_HLS + BY_WHEP
    # The demo's own link was watched too, while `odeon up` waited for the first part.
    assert len(tokens) <= int(figures["concurrentViewers"]) <= len(tokens) + 1
    assert int(figures["uniqueViewers"]) == told
    assert figures["watchTime"] == f"{9 * told}s"
    assert figures["startupTimeP50"] == figures["startupTimeP95"] == "0.500s"
    assert figures["rebufferRatio"] == pytest.approx(0.1)
    assert int(figures["egressBytes"]) > 0
