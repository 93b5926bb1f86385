"""OpenTelemetry: one W3C trace from the click on "join" to the first frame.

The context travels as `traceparent`: in HTTP headers, gRPC metadata and NATS headers.
Exporters are imported only when an endpoint is set; they are slow to load.
"""

from collections.abc import Mapping, MutableMapping

from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor


def setup_tracing(service: str, *, endpoint: str) -> TracerProvider:
    """Install the process's tracer provider; spans go to `endpoint` (OTLP over gRPC) if set."""
    provider = TracerProvider(
        resource=Resource.create({"service.name": f"odeon-{service}", "service.namespace": "odeon"})
    )
    if endpoint:
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
        provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
    trace.set_tracer_provider(provider)
    return provider


def tracer(name: str) -> trace.Tracer:
    """A tracer named after the module that makes the spans."""
    return trace.get_tracer(name)


def inject() -> dict[str, str]:
    """Headers that carry the current span to the next service."""
    headers: dict[str, str] = {}
    propagate.inject(headers)
    return headers


def extract(headers: Mapping[str, str]) -> Context:
    """The caller's span, from its headers."""
    carrier: MutableMapping[str, str] = {key.lower(): value for key, value in headers.items()}
    return propagate.extract(carrier)


def context_of(traceparent: str) -> Context:
    """The span that a message names in its traceparent field; empty gives a new trace."""
    return propagate.extract({"traceparent": traceparent} if traceparent else {})
