"""Probes that tell the truth: `/livez` and `/readyz`, each with the facts that it judges by."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass

from aiohttp import web

MOST_LAG_S = 120.0
"""A look takes 10 s at most for each thing that does not answer; beyond this it hangs."""


@dataclass(frozen=True, slots=True)
class Health:
    """What a probe tells.

    Attributes:
        leader: it holds the lease; a standby is healthy without.
        picture_age_s: since everything was last read from the API server; None before the first
            time.
        watch_age_s: since an event was last heard; a quiet cluster has none for long.
        reconcile_lag_s: how long the pool that waits longest is overdue.
        reports_known: whether NATS tells what pods say.
    """

    leader: bool
    picture_age_s: float | None
    watch_age_s: float | None
    reconcile_lag_s: float
    reports_known: bool

    @property
    def live(self) -> bool:
        """Whether a new process would do better. A dependency that is away is no reason."""
        return self.reconcile_lag_s < MOST_LAG_S


@asynccontextmanager
async def probes(host: str, port: int, health: Callable[[], Health]) -> AsyncIterator[str]:
    """Serve the probes; yields the address."""

    async def livez(_request: web.Request) -> web.Response:
        found = health()
        return web.json_response(asdict(found), status=200 if found.live else 500)

    async def readyz(_request: web.Request) -> web.Response:
        # A standby is as ready as it can be; nothing sends requests here.
        return web.json_response(asdict(health()))

    app = web.Application()
    app.add_routes([web.get("/livez", livez), web.get("/readyz", readyz)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        bound = runner.addresses[0]
        yield f"{bound[0]}:{bound[1]}"
    finally:
        await runner.cleanup()
