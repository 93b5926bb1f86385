"""A guest on a stage who shares no code with the product's media: aiortc, over the WebSocket."""

import asyncio
import fractions
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from odeon.signaling.v1 import stage_pb2 as pb
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from odeon_testkit.testcard import TestCard

_VIDEO_CLOCK = 90_000
_AUDIO_RATE = 48_000
_AUDIO_SAMPLES = 960


class _Clock:
    """When media time began; shared by picture and sound."""

    def __init__(self) -> None:
        self._began: float | None = None

    async def wait_until(self, media_s: float) -> None:
        """Return at a media time; the first one asked for is now."""
        if self._began is None:
            self._began = time.monotonic() - media_s
        await asyncio.sleep(max(0.0, self._began + media_s - time.monotonic()))


class _Picture(MediaStreamTrack):
    """The test card, drawn when it is due."""

    kind = "video"

    def __init__(self, card: TestCard, clock: _Clock) -> None:
        super().__init__()
        self._card, self._clock, self._count = card, clock, 0

    async def recv(self) -> VideoFrame:
        """The next picture."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._clock.wait_until(self._count / self._card.frame_rate)
        picture = self._card.frame(self._count, time.time_ns() // 1_000_000)
        frame = VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts = self._count * _VIDEO_CLOCK // self._card.frame_rate
        frame.time_base = fractions.Fraction(1, _VIDEO_CLOCK)
        self._count += 1
        return frame


class _Sound(MediaStreamTrack):
    """The test card's beeps."""

    kind = "audio"

    def __init__(self, card: TestCard, clock: _Clock) -> None:
        super().__init__()
        self._card, self._clock, self._at = card, clock, 0

    async def recv(self) -> AudioFrame:
        """The next 20 ms."""
        if self.readyState != "live":
            raise MediaStreamError
        await self._clock.wait_until(self._at / _AUDIO_RATE)
        samples = (self._card.samples(self._at, _AUDIO_SAMPLES) * 32_767).astype(np.int16)
        frame = AudioFrame.from_ndarray(samples.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _AUDIO_RATE
        frame.pts, frame.time_base = self._at, fractions.Fraction(1, _AUDIO_RATE)
        self._at += _AUDIO_SAMPLES
        return frame


class Guest:
    """One participant: the stage protocol on a WebSocket, media by two aiortc connections.

    Attributes:
        joined: what the node answered to the join.
        pictures: decoded pictures of others, so far.
        sounds: decoded audio frames of others, so far.
    """

    def __init__(self, socket: ClientConnection, tasks: asyncio.TaskGroup) -> None:
        self._socket, self._tasks = socket, tasks
        configuration = RTCConfiguration(iceServers=[])
        self._publishing = RTCPeerConnection(configuration)
        self._receiving = RTCPeerConnection(configuration)
        self._receiving.on("track", self._take)
        self._answered = asyncio.Event()
        self._admitted = asyncio.Event()
        self.joined = pb.StageJoined()
        self.pictures = 0
        self.sounds = 0

    async def join(self, token: str) -> Self:
        """Join, and hear what the node says from then on."""
        await self._send(join=pb.StageJoin(token=token, auto_subscribe=True))
        self._tasks.create_task(self._listen(), name="guest-listens")
        await self._admitted.wait()
        return self

    async def publish(self, card: TestCard) -> None:
        """Show the test card as a camera, and its beeps as a microphone."""
        clock = _Clock()
        pc = self._publishing
        pc.addTrack(_Picture(card, clock))
        pc.addTrack(_Sound(card, clock))
        await pc.setLocalDescription(await pc.createOffer())
        for transceiver in pc.getTransceivers():
            video = transceiver.kind == "video"
            source = pb.TRACK_SOURCE_CAMERA if video else pb.TRACK_SOURCE_MICROPHONE
            await self._send(
                track_label=pb.StageTrackLabel(mid=transceiver.mid or "", source=source)
            )
        offer = pb.SessionDescription(sdp=pc.localDescription.sdp, revision=1)
        await self._send(publish_offer=offer)
        await self._answered.wait()

    async def close(self) -> None:
        """Leave the stage."""
        await self._send(leave=pb.StageLeave())
        await self._publishing.close()
        await self._receiving.close()

    async def _listen(self) -> None:
        async for data in self._socket:
            assert isinstance(data, bytes), "the stage speaks in binary frames"
            message = pb.StageServerMessage.FromString(data)
            match message.WhichOneof("message"):
                case "joined":
                    self.joined = message.joined
                    if self.joined.admitted:
                        self._admitted.set()
                case "participant_updated":
                    own = message.participant_updated.identity == self.joined.identity
                    if own and message.participant_updated.admitted:
                        self._admitted.set()
                case "publish_answer":
                    await self._publishing.setRemoteDescription(
                        RTCSessionDescription(message.publish_answer.sdp, "answer")
                    )
                    self._answered.set()
                case "subscribe_offer":
                    await self._answer(message.subscribe_offer)
                case "error":
                    raise AssertionError(f"the stage refuses: {message.error}")

    async def _answer(self, offer: pb.SessionDescription) -> None:
        pc = self._receiving
        await pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
        await pc.setLocalDescription(await pc.createAnswer())
        answer = pb.SessionDescription(sdp=pc.localDescription.sdp, revision=offer.revision)
        await self._send(subscribe_answer=answer)

    def _take(self, track: MediaStreamTrack) -> None:
        self._tasks.create_task(self._count(track), name=f"guest-{track.kind}")

    async def _count(self, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, VideoFrame):
                self.pictures += 1
            else:
                self.sounds += 1

    async def _send(self, **message: Any) -> None:
        await self._socket.send(pb.StageClientMessage(**message).SerializeToString())


async def enter(guest_url: str, name: str) -> dict[str, Any]:
    """Trade the invite of a guest's link for a place on the stage, as the page does."""
    url = urlsplit(guest_url)
    invite = parse_qs(url.fragment)["invite"][0]
    async with httpx.AsyncClient(timeout=15) as http:
        answer = await http.post(
            f"{url.scheme}://{url.netloc}/odeon.room.v1.RoomService/EnterEvent",
            json={"name": f"events/{url.path.rpartition('/')[2]}", "displayName": name},
            headers={"Authorization": f"Bearer {invite}"},
        )
    entered: dict[str, Any] = answer.raise_for_status().json()
    return entered


@asynccontextmanager
async def guest(guest_url: str, name: str) -> AsyncIterator[Guest]:
    """A guest who has joined by link."""
    entered = await enter(guest_url, name)
    address = urljoin(guest_url, entered["stageUrl"]).replace("http", "ws", 1)
    subprotocol = Subprotocol("odeon.stage.v1")
    async with (
        connect(address, subprotocols=[subprotocol]) as socket,
        asyncio.TaskGroup() as tasks,
    ):
        participant = Guest(socket, tasks)
        try:
            yield await participant.join(entered["joinToken"])
        finally:
            await participant.close()
            await socket.close()
