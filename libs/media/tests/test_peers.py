"""Independent peers: aiortc publishes and subscribes, FFmpeg's WHIP muxer publishes."""

from __future__ import annotations

import asyncio
import fractions
import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import av
import numpy as np
import pytest
from aiortc import RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, VideoStreamTrack
from odeon_media import Client, Frame, SfuNode
from odeon_testkit.rtc import AudioSource, Events, Publisher, VideoSource, wait_for

NewClient = Callable[..., Client]


def receive(client: Client, pictures: int) -> list[Frame]:
    """Receive until so many video frames came."""
    frames: list[Frame] = []

    def enough() -> bool:
        frames.extend(client.recv(50))
        return sum(frame.kind == "video" for frame in frames) >= pictures

    wait_for(enough, f"{pictures} pictures", 30)
    return frames


class Grey(VideoStreamTrack):
    """A picture whose brightness says its number."""

    async def recv(self) -> av.VideoFrame:
        pts, time_base = await self.next_timestamp()
        frame = av.VideoFrame.from_ndarray(np.full((180, 320, 3), 90, np.uint8), format="rgb24")
        frame.pts, frame.time_base = pts, time_base
        return frame


async def test_aiortc_publishes_and_our_client_receives_it_decodable(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    peer = RTCPeerConnection()
    peer.addTrack(AudioStreamTrack())
    peer.addTrack(Grey())
    await peer.setLocalDescription(await peer.createOffer())
    answer = node.answer_publish("pub", "ev", "alice", peer.localDescription.sdp)
    await peer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    try:
        video = await asyncio.to_thread(events.until, "track_published", media_kind="video")
        await asyncio.to_thread(events.until, "track_published", media_kind="audio")
        receiver = new_client()
        node.open_subscriber("sub", "ev", "bob", pinned=True)
        for track in node.tracks("ev"):
            node.subscribe("sub", track.track)
        offer = node.make_offer("sub")
        assert offer is not None
        node.apply_answer("sub", receiver.accept_offer(offer))
        frames = await asyncio.to_thread(receive, receiver, 60)
        sender = next(s for s in peer.getSenders() if s.kind == "video")
        encoder = getattr(sender, "_RTCRtpSender__encoder")  # noqa: B009
        # aiortc starts at 0.5 Mb/s and knows no transport-cc: REMB tells it that it may send more.
        assert encoder.target_bitrate > 1_000_000
    finally:
        await peer.close()
    pictures = [f for f in frames if f.kind == "video"]
    assert pictures[0].keyframe
    assert video.codec == pictures[0].codec == "vp8"
    decoder = av.CodecContext.create("vp8", "r")
    decoded = [p for f in pictures for p in decoder.decode(av.Packet(f.data))]
    assert len(decoded) >= 38
    assert sum(f.kind == "audio" for f in frames) > 40


async def test_aiortc_receives_what_our_client_publishes_through_both_kinds_of_connection(
    node: SfuNode, events: Events, new_client: NewClient
) -> None:
    sender = new_client()
    sender.set_answer(
        node.answer_publish("pub", "ev", "alice", sender.create_offer(video_codec="vp8"))
    )
    wait_for(lambda: sender.connected, "the publisher to connect")
    with Publisher(sender, "vp8"):
        video = await asyncio.to_thread(events.until, "track_published", media_kind="video")
        audio = await asyncio.to_thread(events.until, "track_published", media_kind="audio")
        assert video.track and audio.track

        viewer = RTCPeerConnection()
        viewer.addTransceiver("video", direction="recvonly")
        viewer.addTransceiver("audio", direction="recvonly")
        await viewer.setLocalDescription(await viewer.createOffer())
        answer = node.answer_whep("viewer", "ev", "", viewer.localDescription.sdp)
        await viewer.setRemoteDescription(RTCSessionDescription(answer, "answer"))
        node.set_slot("viewer", "video", video.track)
        node.set_slot("viewer", "audio", audio.track)

        guest = RTCPeerConnection()
        node.open_subscriber("guest", "ev", "bob")
        node.subscribe("guest", video.track)
        node.subscribe("guest", audio.track)
        await guest.setRemoteDescription(
            RTCSessionDescription(node.make_offer("guest") or "", "offer")
        )
        await guest.setLocalDescription(await guest.createAnswer())
        node.apply_answer("guest", guest.localDescription.sdp)
        try:
            for peer in (viewer, guest):
                tracks = [t.receiver.track for t in peer.getTransceivers()]
                assert {track.kind for track in tracks} == {"audio", "video"}
                for track in tracks:
                    for _ in range(20):
                        frame = await asyncio.wait_for(track.recv(), 10)
                    if isinstance(frame, av.VideoFrame):
                        assert frame.width == 320
                    else:
                        assert isinstance(frame, av.AudioFrame) and frame.sample_rate == 48_000
        except MediaStreamError as error:
            pytest.fail(f"the stream ended: {error!r}")
        finally:
            await viewer.close()
            await guest.close()
    reason = (await asyncio.to_thread(events.until, "session_closed", session="viewer")).reason
    assert reason == "CLIENT_CLOSED"


class WhipServer:
    """The smallest WHIP endpoint in front of a node."""

    def __init__(self, node: SfuNode) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                offer = self.rfile.read(int(self.headers["Content-Length"])).decode()
                answer = node.answer_publish("whip", "ev", "encoder", offer).encode()
                self.send_response(201)
                self.send_header("Content-Type", "application/sdp")
                self.send_header("Location", "/whip/session")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def do_DELETE(self) -> None:
                node.close("whip", "DELETED")
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/whip"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def whip(node: SfuNode) -> Iterator[WhipServer]:
    server = WhipServer(node)
    yield server
    server.close()


def publish_by_ffmpeg(url: str, seconds: float) -> None:
    """Run in a process of its own: FFmpeg's WHIP muxer blocks its process while it negotiates."""
    with av.open(url, "w", format="whip") as output:
        video = output.add_stream("libx264", rate=30)
        video.width, video.height, video.pix_fmt = 320, 180, "yuv420p"
        video.codec_context.gop_size = 30
        video.codec_context.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "profile": "baseline",
        }
        audio = output.add_stream("libopus", rate=48_000, layout="stereo")
        audio.codec_context.format = "s16"
        start, count, samples = time.monotonic(), 0, 0
        while (now := time.monotonic() - start) < seconds:
            while count < now * 30:
                frame = av.VideoFrame.from_ndarray(
                    np.full((270, 320), count % 256, np.uint8), format="yuv420p"
                )
                frame.pts, frame.time_base = count, fractions.Fraction(1, 30)
                output.mux(video.encode(frame))
                count += 1
            while samples < now * 48_000:
                tone = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1920), np.int16), format="s16", layout="stereo"
                )
                tone.sample_rate, tone.pts = 48_000, samples
                tone.time_base = fractions.Fraction(1, 48_000)
                output.mux(audio.encode(tone))
                samples += 960
            time.sleep(0.005)


def test_ffmpeg_publishes_by_whip_and_is_received_decodable(
    node: SfuNode, events: Events, new_client: NewClient, whip: WhipServer
) -> None:
    process = multiprocessing.get_context("spawn").Process(
        target=publish_by_ffmpeg, args=(whip.url, 8.0)
    )
    process.start()
    try:
        events.until("track_published", media_kind="video", codec="h264")
        events.until("track_published", media_kind="audio", codec="opus")
        receiver = new_client()
        receiver.set_answer(
            node.answer_whep(
                "viewer", "ev", "", receiver.create_offer(video_codec=None, direction="recvonly")
            )
        )
        for track in node.tracks("ev"):
            node.set_slot("viewer", track.media_kind, track.track)
        frames = receive(receiver, 40)
    finally:
        process.join(20)
        process.kill()
    pictures = [f for f in frames if f.kind == "video"]
    assert pictures[0].keyframe
    decoder = av.CodecContext.create("h264", "r")
    assert len([p for f in pictures for p in decoder.decode(av.Packet(f.data))]) >= 38
    assert sum(f.kind == "audio" for f in frames) > 40
    assert all(f.capture_time_us for f in frames)


def test_sources_encode() -> None:
    assert VideoSource("vp8").next() and any(AudioSource().next() for _ in range(3))
