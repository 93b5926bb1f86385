"""TLS: both protocols, and certificates that change under way."""

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
from odeon_testkit import wire
from odeon_testkit.edge import Edge, StartEdge, Ticket
from odeon_testkit.origin import Origin, Reply
from odeon_testkit.wait import until


async def served_certificate(edge: Edge, trusting: ssl.SSLContext) -> bytes:
    _, writer = await wire.connect(edge.url, tls=trusting)
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return bytes(certificate)


async def test_both_protocols_serve_the_same_object(
    start_edge: StartEdge, origin: Origin, ticket: Ticket, certificate: Path
) -> None:
    origin.objects["/acme/launch/v720/s1.m4s"] = Reply(200, bytes(300_000))
    async with start_edge(TLS_CERT=str(certificate), TLS_KEY=str(certificate)) as edge:
        url = edge.url + ticket("v720/s1.m4s")
        answers = []
        for http2 in (True, False):
            async with httpx.AsyncClient(verify=False, http2=http2) as client:
                answers.append(await client.get(url))
        async with httpx.AsyncClient(verify=False, http2=True) as client:
            burst = await asyncio.gather(*(client.get(url) for _ in range(8)))

    assert [answer.http_version for answer in answers] == ["HTTP/2", "HTTP/1.1"]
    assert {len(answer.content) for answer in answers + burst} == {300_000}
    assert len(origin.asked) == 1


async def test_a_renewed_certificate_is_taken_up_without_a_restart(
    start_edge: StartEdge,
    certificate: Path,
    trusting: ssl.SSLContext,
    make_certificate: Callable[[Path], None],
    rewrite: Callable[[Path, str], None],
) -> None:
    async with start_edge(TLS_CERT=str(certificate), TLS_KEY=str(certificate)) as edge:
        before = await served_certificate(edge, trusting)

        rewrite(certificate, "half a file")
        edge.reload()
        await edge.until_logged("tls.kept")
        assert await served_certificate(edge, trusting) == before, "a broken one is not taken"

        make_certificate(certificate)

        async def renewed() -> bool:
            return await served_certificate(edge, trusting) != before

        await until(renewed)
