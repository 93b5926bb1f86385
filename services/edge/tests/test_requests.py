"""What the edge answers: paths, directives, CORS, ranges, conditions, encodings, hosts."""

import asyncio
import contextlib
import gzip
import json

import pytest
from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.origin import Origin, Reply

PART = bytes(range(256)) * 40
PART_PATH = "/acme/launch/v720/p0.0.m4s"


@pytest.fixture(autouse=True)
def one_part(origin: Origin) -> None:
    headers = {"Content-Type": "video/mp4", "ETag": '"part"', "Set-Cookie": "a=b", "Odeon-X": "y"}
    origin.objects[PART_PATH] = Reply(200, PART, headers)


async def test_the_token_is_stripped_and_the_origin_sees_the_bare_resource(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    answer = await edge.ask(ticket("v720/p0.0.m4s?utm=1"))

    assert (answer.status, answer.body) == (200, PART)
    assert answer.headers["odeon-x"] == "y"
    assert "set-cookie" not in answer.headers
    assert [asked.target for asked in origin.asked] == [PART_PATH]
    assert "authorization" not in origin.asked[0].headers


async def test_all_viewers_share_one_object(edge: Edge, origin: Origin, ticket: Ticket) -> None:
    first = await edge.ask(ticket("v720/p0.0.m4s", sid="a"))
    second = await edge.ask(ticket("v720/p0.0.m4s", sid="b"))

    assert first.headers["cache-status"] == "odeon; fwd=uri-miss"
    assert second.headers["cache-status"] == "odeon; hit"
    assert len(origin.asked) == 1


@pytest.mark.parametrize(
    "query",
    [
        "_HLS_msn=abc",
        "_HLS_part=1",
        "_HLS_msn=1&_HLS_part=x",
        "_HLS_msn=1&_HLS_msn=2",
        "_HLS_skip=NO",
        "_HLS_msn=-1",
        "_HLS_msn=1234567890",
        "_HLS_msn=",
    ],
)
async def test_a_malformed_directive_is_refused_before_the_origin_hears_of_it(
    edge: Edge, origin: Origin, ticket: Ticket, query: str
) -> None:
    answer = await edge.ask(ticket(f"v720/index.m3u8?{query}"))

    assert answer.status == 400
    assert json.loads(answer.body)["reason"] == "DIRECTIVE_INVALID"
    assert answer.headers["access-control-allow-origin"] == "*"
    assert origin.asked == []


async def test_directives_reach_the_origin_in_canonical_order(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    await edge.ask(ticket("v720/index.m3u8?_HLS_skip=YES&x=1&_HLS_part=00&_HLS_msn=000"))

    target = "/acme/launch/v720/index.m3u8?_HLS_msn=0&_HLS_part=0&_HLS_skip=YES"
    assert [asked.target for asked in origin.asked] == [target]


async def test_what_the_origin_says_about_a_far_future_reaches_the_player(
    edge: Edge, ticket: Ticket
) -> None:
    answer = await edge.ask(ticket("v720/index.m3u8?_HLS_msn=99999"))

    assert answer.status == 400
    assert json.loads(answer.body)["reason"] == "MSN_TOO_FAR"


async def test_a_part_that_does_not_exist_is_a_json_404_that_pages_may_read(
    edge: Edge, ticket: Ticket
) -> None:
    answer = await edge.ask(ticket("v720/p9.9.m4s"))

    assert answer.status == 404
    assert json.loads(answer.body)["reason"] == "ORIGIN_NOT_FOUND"
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_preflight_needs_no_token(edge: Edge) -> None:
    headers = {"Origin": "https://a.example", "Access-Control-Request-Headers": "range"}

    answer = await edge.ask("/t/x/acme/launch/main.m3u8", method="OPTIONS", headers=headers)

    assert answer.status == 204
    assert "range" in answer.headers["access-control-allow-headers"]
    assert "GET" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "TRACE", "CONNECT", "BREW"])
async def test_only_reading_is_allowed(edge: Edge, ticket: Ticket, method: str) -> None:
    answer = await edge.ask(ticket("v720/p0.0.m4s"), method=method)

    assert answer.status in (400, 405)


async def test_head_says_what_get_would_send(edge: Edge, ticket: Ticket) -> None:
    answer = await edge.ask(ticket("v720/p0.0.m4s"), method="HEAD")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == str(len(PART))


async def test_a_range_is_cut_out_of_the_shared_object(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    middle = await edge.ask(ticket("v720/p0.0.m4s"), headers={"Range": "bytes=100-199"})
    beyond = await edge.ask(ticket("v720/p0.0.m4s"), headers={"Range": "bytes=999999-"})

    assert (middle.status, middle.body) == (206, PART[100:200])
    assert middle.headers["content-range"] == f"bytes 100-199/{len(PART)}"
    assert (beyond.status, beyond.headers["content-range"]) == (416, f"bytes */{len(PART)}")
    assert len(origin.asked) == 1


async def test_a_known_etag_saves_the_body(edge: Edge, ticket: Ticket) -> None:
    answer = await edge.ask(ticket("v720/p0.0.m4s"), headers={"If-None-Match": '"part"'})

    assert (answer.status, answer.body) == (304, b"")
    assert answer.headers["etag"] == '"part"'


async def test_encodings_are_reduced_to_two_shared_variants(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    for encoding in ("gzip, deflate, br", "br, gzip;q=0.5", "identity", "br", "gzip;q=0"):
        answer = await edge.ask(ticket("v720/index.m3u8"), headers={"Accept-Encoding": encoding})
        zipped = answer.headers.get("content-encoding") == "gzip"
        text = gzip.decompress(answer.body) if zipped else answer.body
        assert text.startswith(b"#EXTM3U")
        assert zipped == (encoding in ("gzip, deflate, br", "br, gzip;q=0.5"))
        assert answer.headers["vary"] == "accept-encoding"

    assert {asked.headers["accept-encoding"] for asked in origin.asked} == {"gzip", "identity"}


async def test_media_is_never_asked_for_compressed(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    await edge.ask(ticket("v720/p0.0.m4s"), headers={"Accept-Encoding": "gzip"})

    assert origin.asked[0].headers["accept-encoding"] == "identity"


async def test_a_foreign_host_is_refused_where_hosts_are_named(
    start_edge: StartEdge, ticket: Ticket
) -> None:
    async with start_edge(HOSTS="live.example.org,*.cdn.example.org") as edge:
        path = ticket("v720/p0.0.m4s")
        statuses = {
            host: (await edge.ask(path, headers={"Host": host})).status
            for host in ("live.example.org:8443", "a.cdn.example.org", "evil.example", "127.0.0.1")
        }

    assert list(statuses.values()) == [200, 200, 421, 421]


async def test_a_well_formed_trace_is_passed_on_and_a_broken_one_is_not(
    edge: Edge, origin: Origin, ticket: Ticket
) -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await edge.ask(ticket("v720/p0.0.m4s"), headers={"Traceparent": parent})
    await edge.ask(ticket("v720/index.m3u8"), headers={"Traceparent": "evil"})

    assert [asked.headers.get("traceparent") for asked in origin.asked] == [parent, None]


@pytest.mark.parametrize(
    "raw",
    [
        b"GET /t/a HTTP/1.1\r\nHost: e\r\nContent-Length: 5\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: e\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : e\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: e\r\nContent-Length: 1,2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: e\r\nA: " + b"x" * 20_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x00\x05hello",
        b"GET /\x00 HTTP/1.1\r\nHost: e\r\n\r\n",
    ],
    ids=["smuggling", "space-before-colon", "two-lengths", "large-head", "tls", "nul"],
)
async def test_a_request_that_two_parsers_could_read_differently_is_answered_at_most_once(
    edge: Edge, origin: Origin, raw: bytes
) -> None:
    reader, writer = await wire.connect(edge.url)
    writer.write(raw)
    with contextlib.suppress(OSError):  # it may have hung up already
        writer.write_eof()

    received = await wire.until_closed(reader, timeout_s=10)
    writer.close()

    assert received.count(b"HTTP/1.") <= 1
    assert b" 200 " not in received
    assert origin.asked == []


async def test_two_hosts_in_one_request_do_not_confuse_it(edge: Edge, ticket: Ticket) -> None:
    path = ticket("v720/p0.0.m4s").encode()
    reader, writer = await wire.connect(edge.url)
    writer.write(b"GET " + path + b" HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n")

    answer = await wire.read_answer(reader)
    writer.close()

    assert answer.status in (200, 400, 421)


async def test_it_listens_on_ipv6_and_ipv4_at_once(start_edge: StartEdge, ticket: Ticket) -> None:
    async with start_edge(LISTEN="[::1]:0,127.0.0.1:0") as edge:
        addresses = [f"http://{address}" for address in edge.ready["listen"]]
        path = ticket("v720/p0.0.m4s")
        statuses = [(await wire.ask(address, path)).status for address in addresses]

    assert statuses == [200, 200]


async def test_requests_on_one_connection_are_answered_in_order(edge: Edge, ticket: Ticket) -> None:
    reader, writer = await wire.connect(edge.url)
    for _ in range(3):
        writer.write(wire.request(ticket("v720/p0.0.m4s")))

    answers = [await wire.read_answer(reader) for _ in range(3)]
    writer.close()

    assert [answer.body for answer in answers] == [PART] * 3


async def test_the_program_explains_itself(edge: Edge) -> None:
    from odeon_testkit.edge import edge_program

    async def run(*arguments: str) -> tuple[int, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            edge_program(), *arguments, stdout=pipe, stderr=pipe, env={}
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, (out + err).decode()

    assert (await run("--version"))[1].startswith("odeon-edge ")
    assert "ODEON_EDGE_ORIGIN" in (await run("--help"))[1]
    status, text = await run()
    assert status == 1
    assert "ODEON_EDGE_JWKS" in text
    assert (await run("--what"))[0] == 2
