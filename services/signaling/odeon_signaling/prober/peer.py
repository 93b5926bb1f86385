"""The prober's WebRTC peers: aiortc, because it shares no code with what it probes."""

import asyncio
import fractions
from functools import partial
from typing import Any

import aioice.ice
import av
import numpy
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.audio.frame import AudioFrame
from av.packet import Packet

_VIDEO_CLOCK = 90_000
_FRAME_RATE = 10
_AUDIO_RATE = 48_000
_AUDIO_SAMPLES = 960


def vp8_picture(width: int = 160, height: int = 96) -> bytes:
    """One VP8 keyframe of a grey ramp, encoded once: probing should cost next to nothing."""
    encoder = av.CodecContext.create("libvpx", "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = fractions.Fraction(1, _FRAME_RATE)
    encoder.options = {"deadline": "realtime", "cpu-used": "8"}
    ramp = numpy.tile(numpy.linspace(16, 235, width, dtype=numpy.uint8), (height * 3 // 2, 1))
    ramp[height:] = 128
    frame = av.VideoFrame.from_ndarray(ramp, format="yuv420p")
    frame.pts = 0
    packets = [*encoder.encode(frame), *encoder.encode(None)]
    return b"".join(bytes(packet) for packet in packets)


class StillVideo(MediaStreamTrack):
    """The same keyframe again and again, so any of them can be decoded."""

    kind = "video"

    def __init__(self, picture: bytes) -> None:
        super().__init__()
        self._picture = picture
        self._count = 0

    async def recv(self) -> "Packet[Any]":
        """The next frame, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._count:
            await asyncio.sleep(1 / _FRAME_RATE)
        packet = Packet(self._picture)
        packet.pts = packet.dts = self._count * _VIDEO_CLOCK // _FRAME_RATE
        packet.time_base = fractions.Fraction(1, _VIDEO_CLOCK)
        packet.is_keyframe = True
        self._count += 1
        return packet


class Tone(MediaStreamTrack):
    """A quiet 440 Hz tone."""

    kind = "audio"

    def __init__(self) -> None:
        super().__init__()
        self._at = 0

    async def recv(self) -> AudioFrame:
        """The next 20 ms, when they are due."""
        if self.readyState != "live":
            raise MediaStreamError
        if self._at:
            await asyncio.sleep(_AUDIO_SAMPLES / _AUDIO_RATE)
        times = (numpy.arange(_AUDIO_SAMPLES) + self._at) / _AUDIO_RATE
        wave = (numpy.sin(times * 2 * numpy.pi * 440) * 2000).astype(numpy.int16)
        frame = AudioFrame.from_ndarray(wave.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = _AUDIO_RATE
        frame.pts, frame.time_base = self._at, fractions.Fraction(1, _AUDIO_RATE)
        self._at += _AUDIO_SAMPLES
        return frame


def use_loopback() -> None:
    """Let aioice offer 127.0.0.1, which it leaves out: a node of this machine may be only there."""
    found = aioice.ice.get_host_addresses

    def with_loopback(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return [*(["127.0.0.1"] if use_ipv4 else []), *found(use_ipv4, use_ipv6)]

    aioice.ice.get_host_addresses = with_loopback


def connection() -> RTCPeerConnection:
    """A peer connection that asks no STUN server."""
    return RTCPeerConnection(RTCConfiguration(iceServers=[]))


async def offered(pc: RTCPeerConnection) -> str:
    """This side's offer, candidates gathered."""
    await pc.setLocalDescription(await pc.createOffer())
    return str(pc.localDescription.sdp)


async def answered(pc: RTCPeerConnection, sdp: str) -> None:
    """Take the node's answer."""
    await pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="answer"))


async def reached(pc: RTCPeerConnection, attribute: str, states: tuple[str, ...]) -> str:
    """Wait until a state of the connection is one of `states`; returns it."""
    changed = asyncio.Event()
    event = {"iceConnectionState": "iceconnectionstatechange"}.get(
        attribute, "connectionstatechange"
    )
    listener: Any = partial(changed.set)
    pc.on(event, listener)
    try:
        while getattr(pc, attribute) not in states:
            changed.clear()
            await changed.wait()
    finally:
        pc.remove_listener(event, listener)
    return str(getattr(pc, attribute))
