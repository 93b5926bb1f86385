"""One probe of one node: publish into its hidden probe event, play it back, say how far it got."""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any

import grpc
from aiortc import RTCPeerConnection
from odeon.signaling.v1 import signaling_pb2
from odeon.signaling.v1.signaling_pb2_grpc import SignalingServiceStub
from odeon_runtime.errors import DomainError
from odeon_runtime.status import error_info

from odeon_signaling.domain.grants import probe_event
from odeon_signaling.prober import peer


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a probe found.

    Attributes:
        failed_stage: "join", "ice", "dtls" or "rtp"; empty when media went through.
        detail: for people.
        seconds: until the first received frame, or until it failed.
    """

    failed_stage: str
    detail: str
    seconds: float

    @property
    def ok(self) -> bool:
        """Whether media went through the node."""
        return not self.failed_stage


class Probe:
    """Probes one node with two aiortc peers: one publishes, one receives.

    Args:
        stub: the node's SignalingService.
        node: its id.
        token: the prober's service token.
        picture: an encoded VP8 keyframe to publish.
    """

    def __init__(self, stub: SignalingServiceStub, node: str, token: str, picture: bytes) -> None:
        self._stub = stub
        self._event = f"events/{probe_event(node)}"
        self._token = token
        self._picture = picture
        self._stage = "join"

    async def run(self, timeout_s: float) -> Verdict:
        """The verdict, within `timeout_s` and a little for goodbye."""
        began = time.monotonic()
        try:
            async with AsyncExitStack() as stack, asyncio.timeout(timeout_s):
                await self._through(stack)
        except TimeoutError:
            return Verdict(self._stage, f"nothing within {timeout_s:g} s", _since(began))
        except _Failed as error:
            return Verdict(self._stage, str(error), _since(began))
        except grpc.aio.AioRpcError as error:
            info = error_info(error)
            why = info.reason if info else f"{error.code().name} {error.details()}"
            return Verdict(self._stage, why, _since(began))
        except DomainError as error:
            return Verdict(self._stage, error.reason, _since(began))
        return Verdict("", "", _since(began))

    async def _through(self, stack: AsyncExitStack) -> None:
        sender, receiver = peer.connection(), peer.connection()
        stack.push_async_callback(_closed, sender, receiver)
        sender.addTrack(peer.StillVideo(self._picture))
        sender.addTrack(peer.Tone())
        for kind in ("video", "audio"):
            receiver.addTransceiver(kind, direction="recvonly")
        arrivals = _Arrivals(receiver)
        stack.push_async_callback(arrivals.stop)
        await self._publish(sender, stack)
        await self._play(receiver, stack)
        self._stage = "ice"
        for pc in (sender, receiver):
            await _require(pc, "iceConnectionState", ("connected", "completed"))
        self._stage = "dtls"
        for pc in (sender, receiver):
            await _require(pc, "connectionState", ("connected",))
        self._stage = "rtp"
        await arrivals.both()

    async def _publish(self, pc: RTCPeerConnection, stack: AsyncExitStack) -> None:
        offer = await peer.offered(pc)
        answer = await self._stub.Publish(
            signaling_pb2.PublishRequest(token=self._token, event=self._event, sdp_offer=offer)
        )
        stack.push_async_callback(self._goodbye, answer.session_id)
        await peer.answered(pc, answer.sdp_answer)

    async def _play(self, pc: RTCPeerConnection, stack: AsyncExitStack) -> None:
        offer = await peer.offered(pc)
        answer = await self._stub.Play(
            signaling_pb2.PlayRequest(token=self._token, event=self._event, sdp_offer=offer)
        )
        stack.push_async_callback(self._goodbye, answer.session_id)
        await peer.answered(pc, answer.sdp_answer)

    async def _goodbye(self, session: str) -> None:
        request = signaling_pb2.CloseSessionRequest(token=self._token, session_id=session)
        with suppress(grpc.aio.AioRpcError, DomainError):
            await self._stub.CloseSession(request, timeout=2)


class _Failed(Exception):
    """The peer connection gave up."""


class _Arrivals:
    """The first decoded frame of each kind at the receiver."""

    def __init__(self, pc: RTCPeerConnection) -> None:
        self._seen = {kind: asyncio.Event() for kind in ("video", "audio")}
        self._tasks: list[asyncio.Task[None]] = []
        pc.on("track", self._on_track)

    def _on_track(self, track: Any) -> None:
        self._tasks.append(asyncio.create_task(self._first(track), name=f"probe-{track.kind}"))

    async def _first(self, track: Any) -> None:
        await track.recv()
        self._seen[track.kind].set()

    async def both(self) -> None:
        """Wait for one frame of each kind."""
        for seen in self._seen.values():
            await seen.wait()

    async def stop(self) -> None:
        """Listen no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _require(pc: RTCPeerConnection, attribute: str, good: tuple[str, ...]) -> None:
    state = await peer.reached(pc, attribute, (*good, "failed", "closed"))
    if state not in good:
        raise _Failed(f"{attribute} {state}")


async def _closed(*connections: RTCPeerConnection) -> None:
    await asyncio.gather(*(pc.close() for pc in connections), return_exceptions=True)


def _since(began: float) -> float:
    return time.monotonic() - began
