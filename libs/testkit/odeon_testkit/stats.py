"""An AnalyticsService whose streams stay open for as long as they are let."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_runtime.grpc_server import Context, GrpcServer
from odeon_runtime.tokens import Verifier


class EndlessStats(analytics_pb2_grpc.AnalyticsServiceServicer):
    """Says something once and then keeps the stream open.

    Attributes:
        open: streams that are open now.
    """

    def __init__(self) -> None:
        self.open = 0

    async def is_idle(self) -> bool:
        """Whether no stream is open."""
        return self.open == 0

    async def WatchEventStats(
        self, request: analytics_pb2.WatchEventStatsRequest, context: Context
    ) -> AsyncIterator[analytics_pb2.WatchEventStatsResponse]:
        """One answer, then silence."""
        self.open += 1
        try:
            yield analytics_pb2.WatchEventStatsResponse()
            await asyncio.Event().wait()
        finally:
            self.open -= 1


class ScriptedStats(EndlessStats):
    """Tells of one, two and three viewers and ends.

    Attributes:
        traces: `traceparent` of every call.
    """

    def __init__(self) -> None:
        super().__init__()
        self.traces: list[str] = []

    async def WatchEventStats(
        self, request: analytics_pb2.WatchEventStatsRequest, context: Context
    ) -> AsyncIterator[analytics_pb2.WatchEventStatsResponse]:
        """Three answers and the end."""
        metadata = dict(context.invocation_metadata() or ())
        self.traces.append(str(metadata.get("traceparent", "")))
        for viewers in (1, 2, 3):
            stats = analytics_pb2.EventStats(event=request.event, concurrent_viewers=viewers)
            yield analytics_pb2.WatchEventStatsResponse(stats=stats)


@asynccontextmanager
async def stats_server(
    verifier: Verifier, stats: EndlessStats | None = None
) -> AsyncIterator[tuple[str, EndlessStats]]:
    """The service on a free port; yields its address and the servicer."""
    servicer = stats or EndlessStats()  # type: ignore[abstract]
    server = GrpcServer(
        host="127.0.0.1",
        port=0,
        verifier=verifier,
        services=[
            (
                analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server,
                servicer,
                analytics_pb2.DESCRIPTOR.services_by_name["AnalyticsService"],
            )
        ],
        domain="analytics.odeon.live",
        grace_s=0.1,
    )
    async with server:
        yield server.address, servicer
