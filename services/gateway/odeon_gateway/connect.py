"""The Connect protocol over HTTP/1.1: one handler for all RPCs, generic over their descriptors.

Unary calls (JSON and binary) and server streams; https://connectrpc.com/docs/protocol.
"""

import json
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.principal import Principal
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from odeon_gateway.forwarding import Door, Forwarder
from odeon_gateway.methods import Method
from odeon_gateway.refusals import (
    MethodNotAllowed,
    PayloadTooLarge,
    UnsupportedMediaType,
    connect_json,
    connect_response,
    status_of,
)
from odeon_gateway.requests import body_of, client_address
from odeon_gateway.settings import GatewaySettings

_END_STREAM = 0b10
_COMPRESSED = 0b1
_ENVELOPE = struct.Struct(">BI")
_UNARY = {"application/json": "json", "application/proto": "proto"}
_STREAM = {"application/connect+json": "json", "application/connect+proto": "proto"}


class MessageInvalid(DomainError):
    """The body is not a message of the type that this call takes."""

    kind = Kind.INVALID
    reason = "MESSAGE_INVALID"


class TimeoutInvalid(DomainError):
    """Connect-Timeout-Ms is not a whole number of at most ten digits."""

    kind = Kind.INVALID
    reason = "TIMEOUT_INVALID"


class NotExposed(DomainError):
    """No such call for outsiders."""

    kind = Kind.UNIMPLEMENTED
    reason = "UNKNOWN_METHOD"


@dataclass(frozen=True, slots=True)
class Codec:
    """How messages of one call are written."""

    name: str

    def decode(self, data: bytes, into: type[Message]) -> Message:
        """Read a message; raises MessageInvalid."""
        try:
            if self.name == "proto":
                return into.FromString(data)
            if data.strip()[:1] not in (b"", b"{"):
                raise MessageInvalid("a message is a JSON object")
            # Unknown fields are for later versions, as in every Connect implementation.
            return json_format.Parse(data or b"{}", into(), ignore_unknown_fields=True)
        except (json_format.ParseError, DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise MessageInvalid(f"not a {into.DESCRIPTOR.full_name}: {str(error)[:200]}") from None

    def encode(self, message: Message) -> bytes:
        """Write a message."""
        if self.name == "proto":
            return message.SerializeToString()
        return json_format.MessageToJson(message, indent=None).encode()


class ConnectHandler:
    """Serves POST /<package>.<Service>/<Method>."""

    def __init__(
        self,
        methods: Mapping[str, Method],
        door: Door,
        forwarder: Forwarder,
        settings: GatewaySettings,
    ) -> None:
        self._methods = methods
        self._door = door
        self._forwarder = forwarder
        self._settings = settings

    async def __call__(self, request: Request) -> Response:
        """Answer one call, unary or streaming by its content type."""
        content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        streaming = content_type in _STREAM
        try:
            if request.method != "POST":
                raise MethodNotAllowed("calls are POSTs")
            method = self._methods.get(request.url.path)
            if method is None:
                raise NotExposed("no such call", path=request.url.path[:200])
            if content_type not in (_STREAM if method.streams_responses else _UNARY):
                raise UnsupportedMediaType(f"not {content_type[:80] or 'an empty type'}")
            if method.streams_responses:
                return await self._stream(request, method, Codec(_STREAM[content_type]))
            return await self._unary(request, method, Codec(_UNARY[content_type]))
        except Exception as error:
            return _refusal(error, content_type if streaming else "")

    async def _unary(self, request: Request, method: Method, codec: Codec) -> Response:
        timeout = timeout_s(request.headers) or self._settings.unary_timeout_s
        caller = await self._admit(request, method)
        limit = self._settings.max_body_bytes
        body = _decompressed(
            await body_of(request, limit), request.headers.get("content-encoding", ""), limit
        )
        try:
            answer = await self._forwarder.unary(
                method,
                caller,
                codec.decode(body, method.request),
                encode=_to_wire,
                decode=method.response.FromString,
                timeout_s=min(timeout, self._settings.unary_timeout_s),
            )
        except Exception as error:
            self._door.refused(method, error, self._address(request))
            raise
        headers = {"cache-control": "no-store"}
        return Response(
            codec.encode(answer), media_type=f"application/{codec.name}", headers=headers
        )

    async def _stream(self, request: Request, method: Method, codec: Codec) -> Response:
        if method.streams_requests:
            raise NotExposed("client streams need gRPC", path=method.path)
        timeout = timeout_s(request.headers)
        caller = await self._admit(request, method)
        limit = self._settings.max_body_bytes
        body = await body_of(request, limit + _ENVELOPE.size)
        message = codec.decode(
            _only_envelope(body, request.headers.get("connect-content-encoding", ""), limit),
            method.request,
        )
        answers = self._forwarder.server_stream(
            method,
            caller,
            message,
            encode=_to_wire,
            decode=method.response.FromString,
            timeout_s=timeout,
        )
        return StreamingResponse(
            _envelopes(answers, codec),
            media_type=f"application/connect+{codec.name}",
            headers={"cache-control": "no-store"},
        )

    async def _admit(self, request: Request, method: Method) -> Principal | None:
        authorization = request.headers.get("authorization", "")
        return await self._door.admit(method, authorization, self._address(request))

    def _address(self, request: Request) -> str:
        return client_address(request, self._settings.trusted_proxies)


def timeout_s(headers: Mapping[str, str]) -> float | None:
    """The client's deadline; None when it has none."""
    text = headers.get("connect-timeout-ms")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise TimeoutInvalid("Connect-Timeout-Ms must be a whole number of milliseconds")
    return int(text) / 1000


def _to_wire(message: Message) -> bytes:
    return message.SerializeToString()


def _decompressed(body: bytes, encoding: str, limit: int) -> bytes:
    if encoding in ("", "identity"):
        return body
    if encoding != "gzip":
        raise UnsupportedMediaType("only gzip is understood", encoding=encoding[:40])
    decompressor = zlib.decompressobj(wbits=31)
    try:
        plain = decompressor.decompress(body, limit + 1)
    except zlib.error:
        raise MessageInvalid("not gzip") from None
    if len(plain) > limit:
        raise PayloadTooLarge(f"at most {limit} bytes", limit_bytes=str(limit))
    return plain


def _only_envelope(body: bytes, encoding: str, limit: int) -> bytes:
    """The one message of a server stream's request."""
    if len(body) < _ENVELOPE.size:
        raise MessageInvalid("the envelope is cut short")
    flags, size = _ENVELOPE.unpack_from(body)
    if flags & ~_COMPRESSED or len(body) != _ENVELOPE.size + size:
        raise MessageInvalid("exactly one message is expected")
    payload = body[_ENVELOPE.size :]
    return _decompressed(payload, encoding if flags & _COMPRESSED else "", limit)


async def _envelopes(answers: AsyncIterator[Message], codec: Codec) -> AsyncIterator[bytes]:
    end: dict[str, object] = {}
    try:
        async for message in answers:
            yield _enveloped(0, codec.encode(message))
    except Exception as error:
        end = {"error": connect_json(status_of(error))}
    yield _enveloped(_END_STREAM, json.dumps(end).encode())


def _enveloped(flags: int, payload: bytes) -> bytes:
    return _ENVELOPE.pack(flags, len(payload)) + payload


def _refusal(error: Exception, stream_type: str) -> Response:
    status = status_of(error)
    if isinstance(error, MethodNotAllowed):
        return Response(status_code=405, headers={"allow": "POST"})
    if isinstance(error, UnsupportedMediaType):
        accepted = ", ".join((*_UNARY, *_STREAM))
        return Response(status_code=415, headers={"accept-post": accepted})
    if stream_type:
        # A stream says no in its last envelope, with HTTP 200.
        end = json.dumps({"error": connect_json(status)}).encode()
        return Response(_enveloped(_END_STREAM, end), media_type=stream_type)
    if isinstance(error, NotExposed):
        return JSONResponse(connect_json(status), 404)
    assert status.code != code_pb2.OK, "a refusal refuses"
    return connect_response(status)
