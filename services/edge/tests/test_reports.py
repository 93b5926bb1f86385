"""What the edge says about itself, and what it asks the gateway."""

import asyncio
import json

import nats
from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_testkit.edge import StartEdge, Ticket
from odeon_testkit.nats import nats_server
from odeon_testkit.origin import Asked, Origin, Reply
from odeon_testkit.origin import origin as running_origin


async def test_the_load_report_names_viewers_egress_and_the_drain(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(1000))
    with nats_server() as server:
        client = await nats.connect(server.url)
        reports = await client.subscribe(subjects.EDGE_LOAD)
        settings = {"ID": "edge-7", "PUBLIC_URL": "https://e7.example:8480/", "REPORT_MS": "200"}
        async with start_edge(NATS=server.url, **settings) as edge:
            await edge.ask(ticket("v720/s1.m4s"))
            envelope = events_pb2.Envelope()
            async with asyncio.timeout(10):
                async for message in reports.messages:
                    envelope.ParseFromString(message.data)
                    if envelope.edge_load_reported.egress_bytes_total:
                        break
                edge.signal()
                async for message in reports.messages:
                    last = events_pb2.Envelope.FromString(message.data).edge_load_reported
                    if last.draining:
                        break
        await client.close()

    report = envelope.edge_load_reported
    assert message.subject == subjects.load("edge.load.reported", "edge-7")
    assert (report.edge, report.public_url) == ("edge-7", "https://e7.example:8480")
    event = report.events[0]
    assert (event.tenant_id, event.event_id, event.viewers) == ("acme", "launch", 1)
    assert event.egress_bytes_total == report.egress_bytes_total == 1000


async def test_the_edge_shows_nats_the_user_and_password_of_its_url(start_edge: StartEdge) -> None:
    with nats_server(login="odeon:swordfish") as server:
        client = await nats.connect(server.url)
        reports = await client.subscribe(subjects.EDGE_LOAD)
        async with start_edge(NATS=server.url, REPORT_MS="200"):
            message = await reports.next_msg(timeout=10)
        await client.close()

    assert events_pb2.Envelope.FromString(message.data).HasField("edge_load_reported")


async def test_steering_is_asked_of_the_gateway_for_each_viewer(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async def gateway(asked: Asked) -> Reply:
        return Reply(200, b'{"VERSION": 1, "TTL": 5}', {"Content-Type": "application/json"})

    async with running_origin(gateway) as steering, start_edge(GATEWAY=steering.url) as edge:
        query = "_HLS_pathway=%22a%22&_HLS_throughput=500"
        path = ticket(f"steering.json?{query}")
        answers = [await edge.ask(path, headers={"Host": "E1.example:8480"}) for _ in range(2)]

    assert [json.loads(answer.body)["TTL"] for answer in answers] == [5, 5]
    assert answers[0].headers["access-control-allow-origin"] == "*"
    assert answers[0].headers["cache-control"] == "no-store"
    assert [asked.target for asked in steering.asked] == [f"/steering/acme/launch?{query}"] * 2
    assert steering.asked[0].headers["odeon-edge"] == "e1.example"
    assert origin.asked == []


async def test_without_a_gateway_players_are_told_to_stay(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    for settings in ({}, {"GATEWAY": "http://127.0.0.1:9"}):
        async with start_edge(**settings) as edge:
            answer = await edge.ask(ticket("steering.json"))
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_the_access_log_tells_everything_but_the_token(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge(ACCESS_LOG="1") as edge:
        path = ticket("v720/index.m3u8?_HLS_msn=0")
        await edge.ask(path)
        await edge.ask(path.replace("v720", "..", 1))
        await edge.until_logged("edge.request", count=2)
        good, bad = [line for line in edge.log if line["event"] == "edge.request"]
        everything = json.dumps(edge.log)

    assert (good["tenant"], good["live_event"], good["asset"]) == ("acme", "launch", "playlist")
    assert (good["status"], good["cache"], good["pii.source"]) == (200, "fetched", "127.0.0.1")
    assert (bad["status"], bad["reason"]) == (400, "PATH_INVALID")
    token = path.split("/")[2]
    assert not any(piece in everything for piece in token.split("."))


async def test_metrics_are_prometheus_text_without_ids(
    start_edge: StartEdge, origin: Origin, ticket: Ticket
) -> None:
    async with start_edge() as edge:
        await edge.ask(ticket("main.m3u8"))
        await edge.ask("/nothing")
        page = (await edge.admin_get("/metrics")).body.decode()

    lines = page.splitlines()
    for line in (
        'odeon_edge_answers_total{class="2xx"} 1',
        'odeon_edge_refused_total{reason="TOKEN_MISSING"} 1',
        "odeon_edge_cache_fetched_total 1",
        "odeon_edge_trust_keys 1",
    ):
        assert line in lines
    assert "acme" not in page and "launch" not in page
