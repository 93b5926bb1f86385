"""Probes all nodes round by round and tells room what it found."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import grpc
from odeon.room.v1 import room_pb2
from odeon_runtime.errors import DomainError
from odeon_runtime.grpc_client import Peers
from odeon_runtime.ids import NodeId
from odeon_runtime.logs import logger
from odeon_runtime.tasks import EternalTasks
from prometheus_client import Counter, Histogram

from odeon_signaling.prober import peer
from odeon_signaling.prober.probe import Probe, Verdict
from odeon_signaling.prober.settings import ProberSettings

SERVICE = "prober"
_CALL_S = 3.0
_probes = Counter("odeon_prober_probes", "Probes by outcome", ["stage"])
_seconds = Histogram("odeon_prober_first_frame_seconds", "Join to first received frame")
_log = logger(__name__)


class Prober:
    """Knows nothing of the nodes but what room lists."""

    def __init__(self, peers: Peers, settings: ProberSettings) -> None:
        self._peers = peers
        self._settings = settings
        self._picture = peer.vp8_picture()
        self._free = asyncio.Semaphore(settings.parallel)
        if settings.loopback:
            peer.use_loopback()

    async def run(self) -> None:
        """Probe for ever."""
        while True:
            try:
                await self.round()
            except (grpc.aio.AioRpcError, DomainError) as error:
                _log.info("nodes_unknown", error=type(error).__name__)
            await asyncio.sleep(self._settings.interval_s)

    async def round(self) -> dict[str, Verdict]:
        """Probe every node once and report each; verdicts by node id."""
        answer = await self._peers.room.ListNodes(room_pb2.ListNodesRequest(), timeout=_CALL_S)
        nodes = [node for node in answer.nodes if not node.draining]
        verdicts = await asyncio.gather(*(self._one(node) for node in nodes))
        return dict(zip((NodeId.parse_name(node.name) for node in nodes), verdicts, strict=True))

    async def _one(self, node: room_pb2.Node) -> Verdict:
        async with self._free:
            name = NodeId.parse_name(node.name)
            token = await self._peers.service_token.get()
            stub = self._peers.signaling(node.grpc_address)
            verdict = await Probe(stub, name, token, self._picture).run(self._settings.timeout_s)
        _probes.labels(verdict.failed_stage or "ok").inc()
        if verdict.ok:
            _seconds.observe(verdict.seconds)
        else:
            _log.warning("probe_failed", node=name, stage=verdict.failed_stage, why=verdict.detail)
        await self._report(node.name, verdict)
        return verdict

    async def _report(self, node: str, verdict: Verdict) -> None:
        request = room_pb2.ReportProbeRequest(
            node=node, ok=verdict.ok, failed_stage=verdict.failed_stage, detail=verdict.detail
        )
        request.time_to_first_rtp.FromNanoseconds(int(verdict.seconds * 1e9))
        try:
            await self._peers.room.ReportProbe(request, timeout=_CALL_S)
        except (grpc.aio.AioRpcError, DomainError) as error:
            _log.warning("probe_not_reported", node=node, error=type(error).__name__)


@asynccontextmanager
async def prober(settings: ProberSettings) -> AsyncIterator[Mapping[str, str]]:
    """A running prober; it serves nothing, so it yields no address."""
    async with AsyncExitStack() as stack:
        peers = Peers(SERVICE, settings)
        stack.push_async_callback(peers.close)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("probe-rounds", Prober(peers, settings).run())
        yield {}
