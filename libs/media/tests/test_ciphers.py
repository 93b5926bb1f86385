"""Which SRTP protection real peers end up with: AES-GCM where they can, AES-CM where they must."""

from __future__ import annotations

import asyncio
import multiprocessing
import re
import struct
from collections.abc import AsyncIterator, Iterator

import pytest
from odeon_media import SfuNode
from odeon_testkit.chromium import chromium
from odeon_testkit.impair import Address, Relay
from odeon_testkit.rtc import Events

from .test_peers import WhipServer, publish_by_ffmpeg

AES128_CM_SHA1_80 = 0x0001
"""RFC 5764 section 4.1.2."""
AES_GCM = {0x0007, 0x0008}
"""AEAD_AES_128_GCM and AEAD_AES_256_GCM, RFC 7714 section 14.2. dimpl takes the longer key where
the peer offers it, and has no setting for that."""
_HANDSHAKE, _SERVER_HELLO, _USE_SRTP = 22, 2, 14

PUBLISH = """async () => {
  const canvas = document.createElement("canvas");
  const ink = canvas.getContext("2d");
  setInterval(() => ink.fillRect(Math.random() * 300, 0, 5, 5), 50);
  window.pc = new RTCPeerConnection();
  window.pc.addTransceiver(canvas.captureStream(20).getVideoTracks()[0], {direction: "sendonly"});
  await window.pc.setLocalDescription(await window.pc.createOffer());
  return window.pc.localDescription.sdp;
}"""
ANSWERED = """async (sdp) => window.pc.setRemoteDescription({type: "answer", sdp})"""
CIPHER = """async () => {
  let cipher = null;
  (await window.pc.getStats()).forEach((s) => {
    if (s.type === "transport") cipher = s.srtpCipher;
  });
  return cipher;
}"""


def chosen_profiles(packet: bytes) -> Iterator[int]:
    """The SRTP profile of every ServerHello in a datagram (RFC 6347, RFC 5764 section 4.1.1)."""
    while len(packet) >= 13:
        kind, size = packet[0], int.from_bytes(packet[11:13])
        record, packet = packet[13 : 13 + size], packet[13 + size :]
        if kind == _HANDSHAKE and record[:1] == bytes([_SERVER_HELLO]):
            session = record[12 + 34]  # after the message's head, the version and the random
            rest = record[12 + 35 + session + 5 :]  # cipher, compression, size of the extensions
            while len(rest) >= 4:
                extension, length = struct.unpack_from(">HH", rest)
                if extension == _USE_SRTP:
                    yield int.from_bytes(rest[6:8])
                rest = rest[4 + length :]


class Tap(Relay):
    """A relay that reads the handshakes passing by, which DTLS 1.2 leaves in the clear."""

    profiles: list[int]

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.profiles.extend(chosen_profiles(data))
        super().datagram_received(data, addr)

    def towards_peer(self, peer: Address, data: bytes) -> None:
        self.profiles.extend(chosen_profiles(data))
        super().towards_peer(peer, data)


@pytest.fixture
async def tap() -> AsyncIterator[Tap]:
    relay = Tap(("127.0.0.1", 9))
    relay.profiles = []
    loop = asyncio.get_running_loop()
    await loop.create_datagram_endpoint(lambda: relay, local_addr=("127.0.0.1", 0))
    yield relay
    relay.close()


@pytest.fixture
def tapped(tap: Tap) -> Iterator[SfuNode]:
    """A node that peers reach through the tap."""
    host, port = tap.address
    node = SfuNode(advertise=[f"{host}:{port}"])
    tap.server = ("127.0.0.1", node.port)
    yield node
    node.shutdown()


@pytest.mark.browser
async def test_a_browser_gets_aes_gcm(tap: Tap, tapped: SfuNode) -> None:
    events = Events(tapped)
    async with chromium() as browser:
        page = await browser.new_page()
        offer = await page.evaluate(PUBLISH)
        await page.evaluate(ANSWERED, tapped.answer_publish("pub", "ev", "ann", offer))
        await asyncio.to_thread(events.until, "track_published", media_kind="video")
        assert re.fullmatch(r"(SRTP_)?AEAD_AES_(128|256)_GCM", await page.evaluate(CIPHER))

    assert tap.profiles and set(tap.profiles) <= AES_GCM


async def test_ffmpegs_whip_muxer_which_knows_aes_cm_alone_gets_that(
    tap: Tap, tapped: SfuNode
) -> None:
    events, server = Events(tapped), WhipServer(tapped)
    process = multiprocessing.get_context("spawn").Process(
        target=publish_by_ffmpeg, args=(server.url, 3.0)
    )
    process.start()
    try:
        await asyncio.to_thread(events.until, "track_published", media_kind="video")
    finally:
        await asyncio.to_thread(process.join, 20)
        process.kill()
        server.close()

    assert set(tap.profiles) == {AES128_CM_SHA1_80}
