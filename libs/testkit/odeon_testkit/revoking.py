"""The two ways by which verifiers hear that a session was ended, each without the other."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope

from odeon_testkit.issuer import IssuerAuth
from odeon_testkit.nats import nats_server

WAYS = ("stream", "nats")
Revoke = Callable[[IssuerAuth, str, str], Awaitable[None]]


async def _by_stream(auth: IssuerAuth, tenant: str, session_id: str) -> None:
    await auth.revoke(tenant, session_id)


@asynccontextmanager
async def only_by(way: str) -> AsyncIterator[tuple[str, Revoke]]:
    """One of `WAYS`: the NATS address for the service (empty for none), and what ends a session.

    By NATS auth's stream goes on as if nothing had happened. Telling again what was told is
    harmless: core NATS loses what is told before the service has connected.
    """
    if way == "stream":
        yield "", _by_stream
        return
    with nats_server() as nats:
        async with Bus(nats.url, name="auth") as bus:
            await bus.ensure_streams()

            async def by_nats(auth: IssuerAuth, tenant: str, session_id: str) -> None:
                ended = events_pb2.SessionRevoked(session_id=session_id)
                ended.expire_time.FromSeconds(int(time.time()) + 3600)
                subject = subjects.fact("auth.session.revoked", tenant, session_id)
                await bus.publish_now(subject, envelope(tenant, session_revoked=ended))

            yield nats.url, by_nats
