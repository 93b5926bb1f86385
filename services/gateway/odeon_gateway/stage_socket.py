"""The stage WebSocket: binary protobuf frames, piped to SignalingService.Stage of the event's node.

Back-pressure is end to end: a frame is read from the browser only when the one before is on its way
to the node, and from the node only when the browser's socket took the one before.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_runtime import telemetry
from odeon_runtime.errors import DomainError, Kind, Unavailable
from odeon_runtime.grpc_client import Peers
from odeon_runtime.ids import EventId, new_id
from odeon_runtime.logs import logger
from odeon_runtime.principal import acting_as
from odeon_runtime.status import error_info
from odeon_runtime.tokens import Audience
from opentelemetry import context as otel_context
from prometheus_client import Gauge
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from odeon_gateway.credentials import Credentials, is_guess
from odeon_gateway.limits import Limits
from odeon_gateway.placement import Placement
from odeon_gateway.refusals import status_of
from odeon_gateway.requests import client_address
from odeon_gateway.settings import GatewaySettings

SUBPROTOCOL = "odeon.stage.v1"
_MAX_FRAME_BYTES = 192 * 1024
_JOIN_WITHIN_S = 10.0
_SEND_WITHIN_S = 10.0
_QUEUE = 64
# RFC 6455 section 7.4.1.
_NORMAL, _GOING_AWAY, _UNSUPPORTED, _INVALID, _POLICY, _TOO_BIG, _RESTART = (
    1000,
    1001,
    1003,
    1007,
    1008,
    1009,
    1012,
)
_open = Gauge("odeon_gateway_stages", "Stage connections that are open")
_log = logger(__name__)


class FrameInvalid(DomainError):
    """The frame is no StageClientMessage; the connection ends."""

    kind = Kind.INVALID
    reason = "FRAME_INVALID"

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


class TooManyStages(Unavailable):
    """This gateway holds as many stage connections as it may."""

    reason = "TOO_MANY_STAGES"


class _Gone(Exception):
    """The browser closed its end."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class StageEndpoint:
    """Accepts stage connections and pipes each to its node."""

    def __init__(
        self,
        credentials: Credentials,
        limits: Limits,
        placement: Placement,
        peers: Peers,
        settings: GatewaySettings,
    ) -> None:
        self._credentials = credentials
        self._limits = limits
        self._placement = placement
        self._peers = peers
        self._settings = settings
        self._count = 0

    async def __call__(self, socket: WebSocket) -> None:
        """Serve one connection to its end."""
        origin = socket.headers.get("origin")
        allowed = self._settings.stage_origins
        offered = socket.scope.get("subprotocols", [])
        if (origin and "*" not in allowed and origin not in allowed) or SUBPROTOCOL not in offered:
            await socket.close(_POLICY)  # before accept: HTTP 403
            return
        await socket.accept(SUBPROTOCOL)
        self._count += 1
        _open.inc()
        try:
            await self._serve(socket)
        finally:
            self._count -= 1
            _open.dec()

    async def _serve(self, socket: WebSocket) -> None:
        pipe = _Pipe(socket, self._limits)
        try:
            join = await pipe.first()
            call = await self._node(socket, join, pipe)
            await pipe.run(call)
        except _Gone:
            return
        except FrameInvalid as error:
            await pipe.refuse(error, error.code)
        except Exception as error:
            await pipe.refuse(error, _POLICY)

    async def _node(
        self, socket: WebSocket, join: stage_pb2.StageJoin, pipe: "_Pipe"
    ) -> "grpc.aio.StreamStreamCall[signaling_pb2.StageRequest, signaling_pb2.StageResponse]":
        address = client_address(socket, self._settings.trusted_proxies)
        self._limits.address(address)
        if self._count > self._settings.max_stages:
            raise TooManyStages("try again on another gateway", retry_after_s=1)
        try:
            principal = await self._credentials.verify(join.token, Audience.STAGE)
        except Exception as error:
            if is_guess(error):
                self._limits.failure(address)
            raise
        tenant, event = principal.require_tenant(), EventId.parse(principal.event or "")
        attached = otel_context.attach(telemetry.context_of(join.traceparent))
        try:
            place = await self._placement.place(tenant, event)
            with acting_as(None):
                return self._peers.signaling(place.address).Stage(pipe.outgoing())
        finally:
            otel_context.detach(attached)


class _Pipe:
    """Both directions of one connection."""

    def __init__(self, socket: WebSocket, limits: Limits) -> None:
        self._socket = socket
        self._limits = limits
        self._name = new_id("ws")
        self._to_node: asyncio.Queue[stage_pb2.StageClientMessage | None] = asyncio.Queue(_QUEUE)

    async def first(self) -> stage_pb2.StageJoin:
        """The Join that opens the connection."""
        try:
            async with asyncio.timeout(_JOIN_WITHIN_S):
                message = await self._receive()
        except TimeoutError:
            raise FrameInvalid("the first message must be Join", _POLICY) from None
        if not message.HasField("join"):
            raise FrameInvalid("the first message must be Join", _POLICY)
        self._to_node.put_nowait(message)
        return message.join

    async def outgoing(self) -> AsyncIterator[signaling_pb2.StageRequest]:
        """What goes to the node."""
        while (message := await self._to_node.get()) is not None:
            yield signaling_pb2.StageRequest(message=message)

    async def run(
        self,
        call: "grpc.aio.StreamStreamCall[signaling_pb2.StageRequest, signaling_pb2.StageResponse]",
    ) -> None:
        """Pipe until one side ends; then end the other."""
        up = asyncio.create_task(self._from_browser(), name=f"stage-up-{self._name}")
        down = asyncio.create_task(self._from_node(call), name=f"stage-down-{self._name}")
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            if up.done() and isinstance(up.exception(), _Gone):
                # Let a goodbye reach the node before the call ends.
                self._to_node.put_nowait(None)
                with suppress(TimeoutError, Exception):
                    await asyncio.wait_for(asyncio.shield(down), 1.0)
            for task in (up, down):
                if task.done():
                    task.result()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            call.cancel()

    async def _from_browser(self) -> None:
        try:
            while True:
                message = await self._receive()
                self._limits.stage_message(self._name)
                await self._to_node.put(message)
        except _Gone as gone:
            if gone.code == _GOING_AWAY and not self._to_node.full():
                # The page was closed. Other ends may be a broken path: the node waits for those.
                leave = stage_pb2.StageClientMessage(leave=stage_pb2.StageLeave())
                self._to_node.put_nowait(leave)
            raise

    async def _from_node(
        self,
        call: "grpc.aio.StreamStreamCall[signaling_pb2.StageRequest, signaling_pb2.StageResponse]",
    ) -> None:
        try:
            async for response in call:
                await self._send(response.message)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE or _has_reason(error):
                raise
            # The node went without a word: the page joins again, perhaps elsewhere.
            lost = stage_pb2.StageClosed(reason="SESSION_LOST")
            await self._send(stage_pb2.StageServerMessage(closed=lost))
            await self._close(_RESTART)
            return
        await self._close(_NORMAL)

    async def refuse(self, error: Exception, code: int) -> None:
        """Say why in a fatal StageError, then close."""
        status = status_of(error)
        told = stage_pb2.StageError(message=status.message, fatal=True, reason="INTERNAL")
        info = error_details_pb2.ErrorInfo()
        if any(packed.Unpack(info) for packed in status.details):
            told.reason = info.reason
            told.metadata.update(info.metadata)
        with suppress(_Gone):
            await self._send(stage_pb2.StageServerMessage(error=told))
        await self._close(code)

    async def _receive(self) -> stage_pb2.StageClientMessage:
        event = await self._socket.receive()
        if event["type"] == "websocket.disconnect":
            raise _Gone(event.get("code", _NORMAL))
        data = event.get("bytes")
        if data is None:
            raise FrameInvalid("frames are binary", _UNSUPPORTED)
        if len(data) > _MAX_FRAME_BYTES:
            raise FrameInvalid(f"at most {_MAX_FRAME_BYTES} bytes", _TOO_BIG)
        try:
            message = stage_pb2.StageClientMessage.FromString(data)
        except DecodeError:
            raise FrameInvalid("not a StageClientMessage", _INVALID) from None
        if message.WhichOneof("message") is None:
            raise FrameInvalid("an empty StageClientMessage", _INVALID)
        return message

    async def _send(self, message: stage_pb2.StageServerMessage) -> None:
        try:
            async with asyncio.timeout(_SEND_WITHIN_S):
                await self._socket.send_bytes(message.SerializeToString())
        except (TimeoutError, RuntimeError, WebSocketDisconnect) as error:
            raise _Gone(1006) from error

    async def _close(self, code: int) -> None:
        if self._socket.application_state is WebSocketState.CONNECTED:
            with suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(code)


def _has_reason(error: grpc.aio.AioRpcError) -> bool:
    return error_info(error) is not None
