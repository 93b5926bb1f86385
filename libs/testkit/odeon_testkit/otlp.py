"""A real OTLP receiver: collects the spans that processes export, over gRPC."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


@dataclass(frozen=True, slots=True)
class SeenSpan:
    """One exported span. Times are Unix nanoseconds."""

    trace_id: str
    span_id: str
    parent_id: str
    name: str
    service: str
    start_ns: int
    end_ns: int


class TraceReceiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps every span by its trace id."""

    def __init__(self) -> None:
        self.traces: dict[str, list[SeenSpan]] = defaultdict(list)
        self._arrived = asyncio.Condition()
        self.endpoint = ""

    async def Export(
        self,
        request: trace_service_pb2.ExportTraceServiceRequest,
        context: object,
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        """Take a batch of spans."""
        for span in _spans(request):
            self.traces[span.trace_id].append(span)
        async with self._arrived:
            self._arrived.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    async def trace_where(
        self, complete: Callable[[list[SeenSpan]], bool], *, limit_s: float = 20.0
    ) -> list[SeenSpan]:
        """The first trace for which `complete` holds; raises TimeoutError naming what was seen."""
        try:
            async with asyncio.timeout(limit_s), self._arrived:
                while True:
                    for spans in self.traces.values():
                        if complete(spans):
                            return spans
                    await self._arrived.wait()
        except TimeoutError as error:
            seen = sorted({s.name for spans in self.traces.values() for s in spans})
            raise TimeoutError(f"no such trace; spans seen: {seen}") from error


def _spans(request: trace_service_pb2.ExportTraceServiceRequest) -> Iterable[SeenSpan]:
    for resource in request.resource_spans:
        attributes = {a.key: a.value.string_value for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield SeenSpan(
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    name=span.name,
                    service=attributes.get("service.name", ""),
                    start_ns=span.start_time_unix_nano,
                    end_ns=span.end_time_unix_nano,
                )


@asynccontextmanager
async def otlp_receiver() -> AsyncIterator[TraceReceiver]:
    """A receiver on a free loopback port; its `endpoint` goes into ODEON_OTLP_ENDPOINT."""
    receiver = TraceReceiver()
    server = grpc.aio.server()
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(receiver, server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port("127.0.0.1:0")
    receiver.endpoint = f"http://127.0.0.1:{port}"
    await server.start()
    try:
        yield receiver
    finally:
        await server.stop(0)
