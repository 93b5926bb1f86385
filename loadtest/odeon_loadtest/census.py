"""Whether analytics counts the audience that there was."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.duration_pb2 import Duration
from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_testkit.wait import until

from odeon_loadtest.report import Bar, Report

_WATCHED_S = 9
_ARRIVE_S = 10.0
_TIMEOUT_S = 10.0
_CLOSE = Bar("<=", 0.01)


@dataclass(frozen=True, slots=True)
class Census:
    """One event's figures.

    Attributes:
        address: of analytics' gRPC.
        token: may read the figures.
        event: "events/…".
    """

    address: str
    token: str
    event: str

    async def concurrent(self) -> int:
        """Viewers now; edges know a viewer for ten seconds after his last request."""
        return int((await self._stats()).concurrent_viewers)

    async def judge(
        self, report: Report, tokens: list[str], heads: list[int], sent_bytes: int
    ) -> None:
        """Figures against what the load generator did.

        Args:
            report: takes the figures.
            tokens: playback tokens of the viewers; each now tells of a little watching.
            heads: concurrent viewers, read right after each window.
            sent_bytes: bodies that the edge sent in all.
        """
        viewers = len(tokens)
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = analytics_pb2_grpc.AnalyticsServiceStub(channel)
            await asyncio.gather(*(self._tell(stub, token) for token in tokens))
        stats = await self._arrived(viewers, sent_bytes)
        worst = max((_error(seen, viewers) for seen in heads), default=1.0)
        watched_s = stats.watch_time.ToMilliseconds() / 1000
        report.add("analytics_viewers_error", worst, "ratio", _CLOSE)
        sessions = _error(stats.unique_viewers, viewers)
        report.add("analytics_sessions_error", sessions, "ratio", _CLOSE)
        watching = _error(watched_s, viewers * _WATCHED_S)
        report.add("analytics_watch_time_error", watching, "ratio", _CLOSE)
        egress = _error(stats.egress_bytes, sent_bytes)
        report.add("analytics_egress_error", egress, "ratio", _CLOSE)

    async def _arrived(self, viewers: int, sent_bytes: int) -> analytics_pb2.EventStats:
        """The figures once they are complete, or have had time enough."""
        stats = await self._stats()

        async def complete() -> bool:
            nonlocal stats
            stats = await self._stats()
            return stats.unique_viewers >= viewers and stats.egress_bytes >= sent_bytes

        with suppress(TimeoutError):
            await until(complete, timeout_s=_ARRIVE_S)
        return stats

    async def _stats(self) -> analytics_pb2.EventStats:
        async with grpc.aio.insecure_channel(self.address) as channel:
            answer = await analytics_pb2_grpc.AnalyticsServiceStub(channel).GetEventStats(
                analytics_pb2.GetEventStatsRequest(event=self.event),
                metadata=_bearer(self.token),
                timeout=_TIMEOUT_S,
            )
        return answer.stats

    async def _tell(self, stub: analytics_pb2_grpc.AnalyticsServiceStub, token: str) -> None:
        """Beacons of a viewer, sent twice, as after a lost answer."""
        kinds = analytics_pb2.Beacon
        beacons = [
            kinds(sequence=1, kind=kinds.KIND_START_REQUESTED, protocol="hls"),
            kinds(sequence=2, kind=kinds.KIND_FIRST_FRAME, protocol="hls"),
            kinds(sequence=3, kind=kinds.KIND_HEARTBEAT, watched=Duration(seconds=_WATCHED_S)),
        ]
        request = analytics_pb2.SendBeaconsRequest(event=self.event, beacons=beacons)
        for _ in range(2):
            await stub.SendBeacons(request, metadata=_bearer(token), timeout=_TIMEOUT_S)


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def _error(seen: float, true: float) -> float:
    """Share by which a count is off."""
    return abs(seen - true) / true if true else 1.0
