"""POST /v1/traces: the page's own spans (OTLP/JSON), passed to the collector.

What comes from a page is labelled as such and bounded: anybody can send anything.
"""

import asyncio
import base64
import json
from typing import Any

import grpc
from google.protobuf import json_format
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.logs import logger
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.common.v1 import common_pb2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from odeon_gateway.limits import Limits
from odeon_gateway.refusals import refuse
from odeon_gateway.requests import body_of, client_address
from odeon_gateway.settings import GatewaySettings

_MAX_BYTES = 64 * 1024
_MAX_SPANS = 256
_QUEUE = 200
_SEND_S = 5.0
_IDS = ("traceId", "spanId", "parentSpanId")
_log = logger(__name__)


class TraceInvalid(DomainError):
    """The body is no OTLP/JSON trace export."""

    kind = Kind.INVALID
    reason = "TRACE_INVALID"


class TraceEndpoint:
    """Takes spans of pages; without a collector they are checked and dropped."""

    def __init__(self, settings: GatewaySettings, limits: Limits) -> None:
        self._settings = settings
        self._limits = limits
        self._queue: asyncio.Queue[trace_service_pb2.ExportTraceServiceRequest] = asyncio.Queue(
            _QUEUE
        )

    async def __call__(self, request: Request) -> Response:
        """Take one export."""
        try:
            self._limits.address(client_address(request, self._settings.trusted_proxies))
            export = parsed(await body_of(request, _MAX_BYTES))
        except DomainError as error:
            return refuse(error)
        if self._settings.otlp_endpoint and not self._queue.full():
            self._queue.put_nowait(export)
        return JSONResponse({})

    async def run(self) -> None:
        """Pass exports on, for ever; what the collector refuses is lost."""
        endpoint = self._settings.otlp_endpoint.partition("://")[2] or self._settings.otlp_endpoint
        async with grpc.aio.insecure_channel(endpoint or "127.0.0.1:4317") as channel:
            stub = trace_service_pb2_grpc.TraceServiceStub(channel)  # type: ignore[no-untyped-call]
            while True:
                export = await self._queue.get()
                try:
                    await stub.Export(export, timeout=_SEND_S)
                except grpc.aio.AioRpcError as error:
                    _log.info("spans_not_taken", code=error.code().name)


def parsed(body: bytes) -> trace_service_pb2.ExportTraceServiceRequest:
    """OTLP/JSON as a message; ids are hex there (OTLP specification, "JSON Protobuf Encoding").

    Raises:
        TraceInvalid: malformed, or more spans than a page makes at once.
    """
    try:
        data = json.loads(body)
        spans = [
            span
            for resource in data["resourceSpans"]
            for scope in resource["scopeSpans"]
            for span in scope["spans"]
        ]
        if len(spans) > _MAX_SPANS:
            raise TraceInvalid(f"at most {_MAX_SPANS} spans")
        for span in spans:
            _ids_to_base64(span)
        export = json_format.ParseDict(
            data, trace_service_pb2.ExportTraceServiceRequest(), ignore_unknown_fields=True
        )
    except (ValueError, KeyError, TypeError, RecursionError, json_format.ParseError):
        raise TraceInvalid("not an OTLP/JSON trace export") from None
    for resource in export.resource_spans:
        resource.resource.attributes.append(
            common_pb2.KeyValue(key="odeon.source", value=common_pb2.AnyValue(string_value="page"))
        )
    return export


def _ids_to_base64(span: dict[str, Any]) -> None:
    for name in _IDS:
        if name in span:
            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    for link in span.get("links", ()):
        _ids_to_base64(link)
