"""What room hears from this node: its heartbeat, and who comes and goes.

Room may be away for long. Those who are in do not notice; newcomers whose role needs no permission
enter, the others wait until room answers.
"""

import asyncio
import time
from collections.abc import Callable

import grpc
from odeon.events.v1 import events_pb2
from odeon.room.v1 import room_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.errors import DomainError
from odeon_runtime.grpc_client import Peers
from odeon_runtime.ids import NodeId
from odeon_runtime.logs import logger
from prometheus_client import Gauge

from odeon_signaling import convert
from odeon_signaling.domain.entry import Entry
from odeon_signaling.domain.grants import EventKey, Grant

_State = room_pb2.Participant
_ASK_S = 2.0
_RETRY_S = 1.0
_WAITING_LIMIT = 10_000
_log = logger(__name__)
_room_heard = Gauge("odeon_signaling_room_reachable", "1 when room took the last heartbeat")
_sessions = Gauge("odeon_signaling_sessions", "Peer connections on this node")
_cpu = Gauge("odeon_signaling_cpu_load", "Share of one core that the node uses, 0 to 1")

Verdict = Callable[[EventKey, str, Entry], None]


class ParticipantReports:
    """Tells room who joined and left; asks it who may come in.

    Args:
        peers: channels to other services.
        node: id of this node.
        verdict: called with room's answer when it came late (event, identity, entry).
    """

    def __init__(self, peers: Peers, node: str, verdict: Verdict) -> None:
        self._peers = peers
        self._node = node
        self._verdict = verdict
        self._later: dict[tuple[EventKey, str], room_pb2.Participant] = {}
        self._wake = asyncio.Event()

    async def may_enter(self, grant: Grant) -> Entry:
        """Room's word on a newcomer; a default by role when room does not answer in time.

        Raises:
            AioRpcError: room refuses, e.g. ROOM_FULL or EVENT_NOT_OPEN.
        """
        if grant.key.is_probe:
            return Entry(admitted=True)
        asked = convert.report_of(grant, _State.STATE_WAITING)
        # Who comes back is not gone, whatever was still to be told.
        self._later.pop((grant.key, grant.identity), None)
        try:
            return convert.entry_from_proto(await self._report(grant.key, asked))
        except (grpc.aio.AioRpcError, DomainError) as error:
            if not _is_away(error):
                raise
            _log.warning("room_not_asked", error=_name(error))
        if not grant.hidden:
            self._queue(grant.key, asked)
        return Entry(admitted=grant.admitted_unasked)

    def left(self, grant: Grant) -> None:
        """A participant is gone; room hears it when it can."""
        if not grant.key.is_probe:
            self._queue(grant.key, convert.report_of(grant, _State.STATE_LEFT))

    async def run(self) -> None:
        """Deliver what could not be told at once, for ever."""
        while True:
            while self._later:
                (key, identity), told = next(iter(self._later.items()))
                try:
                    answer = await self._report(key, told)
                except (grpc.aio.AioRpcError, DomainError) as error:
                    _log.info("room_not_told", error=_name(error), waiting=len(self._later))
                    if not _is_away(error):
                        self._later.pop((key, identity), None)
                    await asyncio.sleep(_RETRY_S)
                    continue
                if self._later.get((key, identity)) is told:
                    del self._later[(key, identity)]
                if answer.state != _State.STATE_LEFT:
                    self._verdict(key, identity, convert.entry_from_proto(answer))
            self._wake.clear()
            if not self._later:
                await self._wake.wait()

    def _queue(self, key: EventKey, participant: room_pb2.Participant) -> None:
        if len(self._later) >= _WAITING_LIMIT:
            self._later.pop(next(iter(self._later)))
        self._later[(key, participant.identity)] = participant
        self._wake.set()

    async def _report(self, key: EventKey, told: room_pb2.Participant) -> room_pb2.Participant:
        request = room_pb2.ReportParticipantRequest(
            tenant_id=key.tenant, event=f"events/{key.event}", node=self._node, participant=told
        )
        return (await self._peers.room.ReportParticipant(request, timeout=_ASK_S)).participant


class Heartbeat:
    """Tells room every two seconds that this node lives and how loaded it is.

    Args:
        peers: channels to other services.
        bus: for the load report on NATS.
        describe: the node as it is now, and the events that have sessions here.
        interval_s: between two reports; room may ask for another.
    """

    def __init__(
        self,
        peers: Peers,
        bus: Bus,
        describe: Callable[[], tuple[room_pb2.Node, list[str]]],
        interval_s: float,
    ) -> None:
        self._peers = peers
        self._bus = bus
        self._describe = describe
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self._reached: bool | None = None
        self.cordon_told = False
        """The last heartbeat that room took says that this node is cordoned."""

    def now(self) -> None:
        """Report at once: something changed that placement must know."""
        self._wake.set()

    async def run(self) -> None:
        """Report for ever."""
        while True:
            await self.report()
            self._wake.clear()
            # Placement waits for a node that room does not know yet: try again soon.
            pause = self._interval_s if self._reached else min(self._interval_s, _RETRY_S / 4)
            try:
                async with asyncio.timeout(pause):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def report(self) -> None:
        """Report once; an absent room is noted, nothing more."""
        node, active = self._describe()
        _sessions.set(node.sessions)
        _cpu.set(max(0.0, node.cpu_load))
        self._tell_bus(node)
        try:
            request = room_pb2.ReportNodeRequest(node=node, active_events=active)
            await self._peers.room.ReportNode(request, timeout=_ASK_S)
        except (grpc.aio.AioRpcError, DomainError) as error:
            self._note(False, _name(error))
        else:
            self.cordon_told = node.cordoned
            self._note(True, "")

    def _tell_bus(self, node: room_pb2.Node) -> None:
        name = NodeId.parse_name(node.name)
        load = events_pb2.NodeLoadReported(
            node=name, sessions=node.sessions, cpu_load=node.cpu_load, draining=node.draining
        )
        self._bus.publish(
            subjects.load("signaling.load.reported", name),
            envelope(subjects.NO_TENANT, node_load_reported=load),
            durable=False,
        )

    def _note(self, reached: bool, why: str) -> None:
        _room_heard.set(int(reached))
        if reached != self._reached:
            _log.info("room_reached" if reached else "room_lost", why=why)
        self._reached = reached


class CpuMeter:
    """Share of one core used since the last look, by the busier of the two threads.

    The media thread says how long it worked; the rest of the process's time is Python's.
    """

    def __init__(self) -> None:
        self._wall = time.monotonic()
        self._process = time.process_time()
        self._busy_ns = 0

    def load(self, busy_ns: int) -> float:
        """0 to 1; `busy_ns` is the media thread's counter."""
        wall, process = time.monotonic(), time.process_time()
        elapsed = max(1e-6, wall - self._wall)
        media = (busy_ns - self._busy_ns) / 1e9
        python = process - self._process - media
        self._wall, self._process, self._busy_ns = wall, process, busy_ns
        return min(1.0, max(media, python, 0.0) / elapsed)


def _is_away(error: Exception) -> bool:
    if isinstance(error, grpc.aio.AioRpcError):
        return error.code() in (
            grpc.StatusCode.UNAVAILABLE,
            grpc.StatusCode.DEADLINE_EXCEEDED,
            grpc.StatusCode.UNAUTHENTICATED,
        )
    return True


def _name(error: Exception) -> str:
    return error.code().name if isinstance(error, grpc.aio.AioRpcError) else type(error).__name__
