"""A real node (media core, gRPC) with scripted neighbours, and stage clients that speak to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

import grpc
import pytest
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc, stage_pb2
from odeon_media import Client, Frame, StateError
from odeon_runtime.tokens import Audience
from odeon_signaling.app import signaling
from odeon_signaling.settings import SignalingSettings
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, IssuerAuth, auth_server
from odeon_testkit.room import ScriptedRoom, room_server

T = TypeVar("T")
WAIT_S = 30.0
KEYFRAME = bytes.fromhex("9001009d012a40003000") + bytes(60)
SPEECH = bytes.fromhex("f8fffe") + bytes(20)


async def until(check: Callable[[], T | None], within_s: float = WAIT_S) -> T:
    """Wait until `check` gives something true; bounded."""
    async with asyncio.timeout(within_s):
        while True:
            found = check()
            if found:
                return found
            await asyncio.sleep(0.01)


async def eventually(ask: Callable[[], Awaitable[T]], good: Callable[[T], bool]) -> T:
    """Ask until the answer is good; bounded."""
    async with asyncio.timeout(WAIT_S):
        while True:
            answer = await ask()
            if good(answer):
                return answer
            await asyncio.sleep(0.02)


class Publisher:
    """Sends small VP8 keyframes and Opus packets by the media client, until closed.

    With `layers` (RIDs, lowest first) every one of them carries the same.
    """

    def __init__(self, *, video: bool = True, level: int = -20, layers: Sequence[str] = ()) -> None:
        self.client = Client()
        self.offer = self.client.create_offer(
            video_codec="vp8" if video else None, audio=True, simulcast=layers or None
        )
        self.level = level
        self._rids: Sequence[str | None] = layers or (None,)
        self._task: asyncio.Task[None] | None = None

    def start(self, answer: str) -> None:
        self.client.set_answer(answer)
        self._task = asyncio.create_task(self._send(), name="publisher")

    async def _send(self) -> None:
        mids = {media.kind: media.mid for media in self.client.medias()}
        for n in range(100_000):
            for rid in self._rids if "video" in mids and n % 3 == 0 else ():
                self.client.send(mids["video"], KEYFRAME, rtp_time=n * 1800, rid=rid)
            self.client.send(mids["audio"], SPEECH, rtp_time=n * 960, audio_level=self.level)
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError, StateError):
                await self._task
        self.client.close()


@dataclass
class StageClient:
    """One participant over the stage protocol."""

    call: Any
    received: list[stage_pb2.StageServerMessage] = field(default_factory=list)
    subscriber: Client = field(default_factory=Client)
    publisher: Publisher | None = None
    answers: bool = True
    _reader: asyncio.Task[None] | None = None
    _writing: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def send(self, **message: object) -> None:
        inner = stage_pb2.StageClientMessage(**message)  # type: ignore[arg-type]
        async with self._writing:  # a call takes one write at a time
            await self.call.write(signaling_pb2.StageRequest(message=inner))

    async def read(self) -> None:
        async for response in self.call:
            self.received.append(response.message)
            if self.answers and response.message.HasField("subscribe_offer"):
                offer = response.message.subscribe_offer
                sdp = self.subscriber.accept_offer(offer.sdp)
                answer = stage_pb2.SessionDescription(sdp=sdp, revision=offer.revision)
                await self.send(subscribe_answer=answer)

    def all(self, name: str) -> list[Any]:
        return [getattr(m, name) for m in self.received if m.HasField(name)]  # type: ignore[arg-type]

    async def expect(self, name: str, check: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first message of this name that passes the check."""
        return await until(lambda: next((m for m in self.all(name) if check(m)), None))

    async def publish(self, **options: Any) -> Publisher:
        self.publisher = Publisher(**options)
        offer = stage_pb2.SessionDescription(sdp=self.publisher.offer, revision=1)
        await self.send(publish_offer=offer)
        answer = await self.expect("publish_answer")
        self.publisher.start(answer.sdp)
        return self.publisher

    async def frames(self, kind: str = "video") -> list[Frame]:
        """Frames of a kind, once some have arrived."""
        return await until(lambda: [f for f in self.subscriber.recv(0) if f.kind == kind])

    async def close(self) -> None:
        self.call.cancel()
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError, grpc.aio.AioRpcError):
                await self._reader
        if self.publisher is not None:
            await self.publisher.close()
        self.subscriber.close()


@dataclass
class World:
    """A running node and what surrounds it."""

    issuer: Issuer
    auth: IssuerAuth
    room: ScriptedRoom
    addresses: dict[str, str]
    stub: signaling_pb2_grpc.SignalingServiceStub
    stack: AsyncExitStack
    auth_address: str
    room_address: str
    media_port: int
    node: AsyncExitStack
    outage: AsyncExitStack
    settings: SignalingSettings
    clients: list[StageClient] = field(default_factory=list)

    async def stop_node(self) -> None:
        """Stop the node as its process would."""
        await self.node.aclose()

    def stage_token(self, who: str, role: str = "host", **claims: Any) -> str:
        claims.setdefault("session_id", f"sid-{who}")
        return self.issuer.token(Audience.STAGE, subject=who, role=role, **claims)

    async def open(self, join: stage_pb2.StageJoin) -> StageClient:
        metadata = [("authorization", f"Bearer {self.issuer.service_token('gateway')}")]
        client = StageClient(self.stub.Stage(metadata=metadata))
        self.clients.append(client)
        await client.send(join=join)
        client._reader = asyncio.create_task(client.read(), name="stage-client")
        return client

    async def join(self, who: str, role: str = "host", **join: Any) -> StageClient:
        token = join.pop("token", None) or self.stage_token(who, role)
        join.setdefault("auto_subscribe", True)
        client = await self.open(stage_pb2.StageJoin(token=token, **join))
        await client.expect("joined")
        return client

    async def whip(self, who: str = "obs", **claims: Any) -> tuple[Publisher, Any]:
        publisher = Publisher()
        token = self.issuer.token(
            Audience.PUBLISH, subject=who, role="publisher", session_id=f"sid-{who}", **claims
        )
        answer = await self.stub.Publish(
            signaling_pb2.PublishRequest(
                token=token, event="events/launch", sdp_offer=publisher.offer
            )
        )
        publisher.start(answer.sdp_answer)
        self.stack.push_async_callback(publisher.close)
        return publisher, answer

    async def whep(self, who: str = "viewer") -> tuple[Client, Any]:
        client = Client()
        self.stack.callback(client.close)
        offer = client.create_offer(video_codec=None, direction="recvonly")
        answer = await self.stub.Play(
            signaling_pb2.PlayRequest(
                token=self.playback_token(who), event="events/launch", sdp_offer=offer
            )
        )
        client.set_answer(answer.sdp_answer)
        return client, answer

    def playback_token(self, who: str = "viewer") -> str:
        return self.issuer.token(
            Audience.PLAYBACK, subject=who, role="viewer", session_id=f"sid-{who}"
        )


@asynccontextmanager
async def running(**settings: Any) -> AsyncIterator[World]:
    """A node named n1 between scripted neighbours."""
    issuer = Issuer()
    async with AsyncExitStack() as stack:
        outage = await stack.enter_async_context(AsyncExitStack())
        auth_address, auth = await outage.enter_async_context(auth_server(issuer))
        room_address, room = await outage.enter_async_context(room_server(issuer))
        alone = settings.pop("alone", False)
        chosen = SignalingSettings(
            node="n1",
            auth_address=auth_address,
            room_address=settings.pop("room_address", room_address),
            service_secret=SERVICE_SECRET,
            heartbeat_s=0.2,
            **settings,
        )
        node = await stack.enter_async_context(AsyncExitStack())
        addresses = dict(await node.enter_async_context(signaling(chosen)))
        metadata = [("authorization", f"Bearer {issuer.service_token('gateway')}")]
        channel = grpc.aio.insecure_channel(addresses["grpc"], interceptors=[_WithToken(metadata)])
        await stack.enter_async_context(channel)
        stub = signaling_pb2_grpc.SignalingServiceStub(channel)
        await until(lambda: room.nodes.get("nodes/n1") or alone)
        inner = await stack.enter_async_context(AsyncExitStack())
        world = World(
            issuer, auth, room, addresses, stub, inner,
            auth_address, room_address, int(addresses["media_port"]), node, outage, chosen,
        )  # fmt: skip
        yield world
        for client in world.clients:
            await client.close()


class _WithToken(grpc.aio.UnaryUnaryClientInterceptor):
    """The gateway's service token on unary calls."""

    def __init__(self, metadata: list[tuple[str, str]]) -> None:
        self._metadata = metadata

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(
            details._replace(metadata=grpc.aio.Metadata(*self._metadata)), request
        )


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with running() as made:
        yield made
