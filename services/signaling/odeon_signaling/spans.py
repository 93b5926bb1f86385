"""What a join took, as spans of its trace: join, ice, dtls, first_rtp.

The media core stamps its events on the monotonic clock; spans want Unix time.
"""

import time
from dataclasses import dataclass
from typing import Self

from odeon_media import NodeEvent
from odeon_runtime import telemetry
from opentelemetry import trace
from opentelemetry.context import Context

_tracer = telemetry.tracer(__name__)


def unix_ns(monotonic_ns: int) -> int:
    """The Unix time of a monotonic stamp of this process."""
    return monotonic_ns + time.time_ns() - time.monotonic_ns()


@dataclass(slots=True)
class JoinTrace:
    """The trace that one peer connection belongs to."""

    context: Context
    kind: str
    _dtls_ns: int | None = None

    @classmethod
    def of(cls, span: trace.Span, kind: str) -> Self:
        """Children of `span`, labelled with the kind of connection."""
        return cls(trace.set_span_in_context(span), kind)

    def connected(self, event: NodeEvent) -> None:
        """ICE and DTLS are up."""
        if event.created_ns is None or event.ice_ns is None or event.dtls_ns is None:
            return
        self._span("ice", event.created_ns, event.ice_ns)
        self._span("dtls", event.ice_ns, event.dtls_ns)
        self._dtls_ns = event.dtls_ns

    def first_rtp(self, event: NodeEvent) -> None:
        """The first packet went through, either way."""
        self._span("first_rtp", self._dtls_ns or event.at_ns, event.at_ns)

    def _span(self, name: str, start_ns: int, end_ns: int) -> None:
        span = _tracer.start_span(
            name,
            context=self.context,
            start_time=unix_ns(start_ns),
            attributes={"odeon.connection": self.kind},
        )
        span.end(end_time=unix_ns(max(start_ns, end_ns)))


def join_span(kind: str, *, traceparent: str = "") -> trace.Span:
    """The span of letting somebody in; a child of the click when `traceparent` names it."""
    context = telemetry.context_of(traceparent) if traceparent else None
    return _tracer.start_span("join", context=context, attributes={"odeon.connection": kind})
