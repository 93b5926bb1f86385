"""Keys and revocations: two ways in, either suffices, losing both changes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nats
import pytest
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import envelope
from odeon_testkit.edge import Edge, StartEdge, Ticket, running_edge
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, IssuerAuth, auth_server
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.origin import Origin
from odeon_testkit.wait import until

NEXT = "v720/index.m3u8?_HLS_msn=1&_HLS_part=0"
REVOKED_WITHIN_S = 5.0


@pytest.fixture
async def auth(issuer: Issuer) -> AsyncIterator[tuple[str, IssuerAuth]]:
    async with auth_server(issuer) as (address, servicer):
        yield address, servicer


@pytest.fixture
def bus() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


async def publish_revocation(url: str, session_id: str, tenant: str = "acme") -> None:
    fact = events_pb2.SessionRevoked(session_id=session_id)
    client = await nats.connect(url)
    subject = subjects.fact("auth.session.revoked", tenant, session_id)
    await client.publish(subject, envelope(tenant, session_revoked=fact).SerializeToString())
    await client.drain()


async def until_up(edge: Edge, name: str, *, up: bool = True) -> None:
    async def as_wanted() -> bool:
        return (await edge.stats())["trust"][name] is up

    await until(as_wanted)


async def blocked(edge: Edge, origin: Origin, path: str) -> "asyncio.Task[tuple[int, str]]":
    """A request that waits at the origin."""

    async def run() -> tuple[int, str]:
        answer = await edge.ask(path)
        return answer.status, str(json.loads(answer.body).get("reason"))

    task = asyncio.create_task(run())
    await origin.until_waiting(1)
    return task


async def test_a_blocked_request_of_a_revoked_session_ends_at_once(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    waiting = await blocked(edge, origin, ticket(NEXT, sid="bad"))
    innocent = asyncio.create_task(edge.ask(ticket(NEXT, sid="good")))

    order = await edge.admin_post("/revoke", {"tenant": "acme", "sid": "bad"})

    assert order.status == 200
    assert await asyncio.wait_for(waiting, 1) == (403, "SESSION_REVOKED")
    await origin.publish(1, 0)
    assert (await innocent).status == 200, "the shared fetch went on"
    assert (await edge.ask(ticket("v720/index.m3u8", sid="bad"))).status == 403


async def test_a_revocation_touches_no_session_of_that_name_elsewhere(
    edge: Edge, ticket: Ticket
) -> None:
    await edge.admin_post("/revoke", {"tenant": "acme", "sid": "twin"})

    ours = await edge.ask(ticket("main.m3u8", sid="twin"))
    theirs = await edge.ask(ticket("main.m3u8", sid="twin", tenant="globex"))

    assert (ours.status, theirs.status) == (403, 200)


async def test_auths_stream_alone_brings_keys_and_revocations(
    origin: Origin, ticket: Ticket, auth: tuple[str, IssuerAuth]
) -> None:
    address, servicer = auth
    settings = {"ORIGIN": origin.url, "AUTH": address, "ODEON_SERVICE_SECRET": SERVICE_SECRET}
    async with running_edge(**settings) as edge:
        await edge.until_ready()
        waiting = await blocked(edge, origin, ticket(NEXT, sid="bad"))

        await servicer.revoke("acme", "bad")

        assert await asyncio.wait_for(waiting, REVOKED_WITHIN_S) == (403, "SESSION_REVOKED")
        assert (await edge.stats())["trust"]["auth_up"] is True


async def test_nats_alone_brings_revocations(
    start_edge: StartEdge, origin: Origin, ticket: Ticket, bus: NatsServer
) -> None:
    async with start_edge(NATS=bus.url) as edge:
        await until_up(edge, "nats_up")
        waiting = await blocked(edge, origin, ticket(NEXT, sid="bad"))

        await publish_revocation(bus.url, "bad")

        assert await asyncio.wait_for(waiting, REVOKED_WITHIN_S) == (403, "SESSION_REVOKED")


async def test_nats_may_come_later_and_go_and_come_back(
    start_edge: StartEdge, ticket: Ticket, tmp_path: Path
) -> None:
    server = NatsServer(tmp_path)
    server.start()
    server.stop()
    async with start_edge(NATS=server.url) as edge:
        assert (await edge.ask(ticket("main.m3u8", sid="a"))).status == 200
        for sid in ("a", "b"):
            server.start()
            try:
                await until_up(edge, "nats_up")
                await publish_revocation(server.url, sid)
                await edge.until_answered(
                    ticket("main.m3u8", sid=sid), 403, timeout_s=REVOKED_WITHIN_S
                )
            finally:
                server.stop()
            await until_up(edge, "nats_up", up=False)
            assert (await edge.admin_get("/readyz")).status == 200


async def test_without_keys_it_is_alive_but_not_ready_and_judges_nobody(
    origin: Origin, ticket: Ticket
) -> None:
    settings = {"ORIGIN": origin.url, "AUTH": "http://127.0.0.1:9", "ODEON_SERVICE_SECRET": "x"}
    async with running_edge(**settings) as edge:
        alive = await edge.admin_get("/livez")
        ready = await edge.admin_get("/readyz")
        answer = await edge.ask(ticket("main.m3u8"))

    assert (alive.status, ready.status, answer.status) == (200, 503, 503)
    assert json.loads(answer.body)["reason"] == "NO_KEYS"


async def test_losing_auth_changes_nothing_but_a_gauge(
    origin: Origin, ticket: Ticket, issuer: Issuer
) -> None:
    async with auth_server(issuer) as (address, _):
        settings = {"ORIGIN": origin.url, "AUTH": address, "ODEON_SERVICE_SECRET": SERVICE_SECRET}
        edge_up = running_edge(**settings)
        edge = await edge_up.__aenter__()
        await edge.until_ready()
    try:
        await until_up(edge, "auth_up", up=False)
        assert (await edge.ask(ticket("main.m3u8"))).status == 200
        assert (await edge.admin_get("/readyz")).status == 200
        page = (await edge.admin_get("/metrics")).body.decode()
        assert "odeon_edge_trust_auth_up 0" in page
    finally:
        await edge_up.__aexit__(None, None, None)


async def test_a_key_file_is_read_again_when_it_changes(
    start_edge: StartEdge,
    ticket: Ticket,
    jwks: Path,
    rewrite: Callable[[Path, str], None],
) -> None:
    async with start_edge() as edge:
        assert (await edge.ask(ticket("main.m3u8"))).status == 200

        rewrite(jwks, "not json")
        edge.reload()
        await edge.until_logged("trust.file_kept")
        assert (await edge.ask(ticket("main.m3u8"))).status == 200, "a broken file changes nothing"

        rewrite(jwks, Issuer("another").jwks_json)
        await edge.until_answered(ticket("main.m3u8"), 401)


async def test_wrong_orders_on_the_private_listener_are_refused(
    start_edge: StartEdge,
) -> None:
    async with start_edge(ADMIN_TOKEN="secret") as edge:
        closed = await edge.admin_post("/revoke", {"tenant": "acme", "sid": "a"})
    async with start_edge() as edge:
        statuses = [
            (await edge.admin_post("/revoke", {"tenant": "Acme", "sid": "a"})).status,
            (await edge.admin_post("/revoke", {"tenant": "acme"})).status,
            (await edge.admin_post("/purge", {"event": "launch"})).status,
            (await edge.admin_post("/nothing", {})).status,
            (await edge.ask("/metrics")).status,
        ]

    assert closed.status == 401
    assert statuses == [400, 400, 400, 404, 401]
