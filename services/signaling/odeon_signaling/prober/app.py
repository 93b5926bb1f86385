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
_PAUSE_S = 0.1
_USUAL = 0.2
"""Share of a probe's time after which it only waits; a good node needs a tenth of it."""
_probes = Counter("odeon_prober_probes", "Probes by outcome", ["stage"])
_seconds = Histogram("odeon_prober_first_frame_seconds", "Join to first received frame")
_log = logger(__name__)


class Prober:
    """Knows nothing of the nodes but what room lists; probes each at its own pace.

    What a probe of a good node needs is our own processor, so only a few work at once: hurried
    probes would fail and say that the nodes are bad. A probe that lasts longer than usual only
    waits, for a node that keeps silent; it makes room for the next. So however many nodes keep
    silent, the others are not probed later for it.
    """

    def __init__(self, peers: Peers, settings: ProberSettings) -> None:
        self._peers = peers
        self._settings = settings
        self._picture = peer.vp8_picture()
        self._free = asyncio.Semaphore(settings.parallel)
        self._nodes: dict[str, room_pb2.Node] = {}
        if settings.loopback:
            peer.use_loopback()

    async def run(self) -> None:
        """Probe for ever what room lists and what does not drain."""
        watches: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            while True:
                try:
                    await self._learn()
                except (grpc.aio.AioRpcError, DomainError) as error:
                    _log.info("nodes_unknown", error=type(error).__name__)
                for gone in watches.keys() - self._nodes.keys():
                    watches.pop(gone).cancel()
                for new in self._nodes.keys() - watches.keys():
                    watches[new] = group.create_task(self._watch(new), name=f"probe-{new}")
                await asyncio.sleep(self._settings.interval_s)

    async def _learn(self) -> None:
        answer = await self._peers.room.ListNodes(room_pb2.ListNodesRequest(), timeout=_CALL_S)
        self._nodes = {NodeId.parse_name(n.name): n for n in answer.nodes if not n.draining}

    async def _watch(self, name: str) -> None:
        loop = asyncio.get_running_loop()
        while node := self._nodes.get(name):
            began = loop.time()
            try:
                await self._one(node)
            except (grpc.aio.AioRpcError, DomainError) as error:
                _log.info("probe_not_begun", node=name, error=type(error).__name__)
            await asyncio.sleep(max(_PAUSE_S, began + self._settings.interval_s - loop.time()))

    async def _one(self, node: room_pb2.Node) -> None:
        name = NodeId.parse_name(node.name)
        verdict = await self._probed(node, name)
        _probes.labels(verdict.failed_stage or "ok").inc()
        if verdict.ok:
            _seconds.observe(verdict.seconds)
        else:
            _log.warning("probe_failed", node=name, stage=verdict.failed_stage, why=verdict.detail)
        await self._report(node.name, verdict)

    async def _probed(self, node: room_pb2.Node, name: str) -> Verdict:
        timeout_s = self._settings.timeout_s
        async with self._free:
            token = await self._peers.service_token.get()
            stub = self._peers.signaling(node.grpc_address)
            probe = Probe(stub, name, token, self._picture)
            running = asyncio.create_task(probe.run(timeout_s), name=f"probe-of-{name}")
            try:
                await asyncio.wait({running}, timeout=timeout_s * _USUAL)
            except asyncio.CancelledError:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
                raise
        return await running

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
