"""Signaling nodes: heartbeats, probes, and where an event goes."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from odeon_runtime.errors import NotFound
from odeon_runtime.ids import EventId, NodeId, TenantId
from odeon_runtime.logs import logger
from odeon_runtime.principal import Principal

from odeon_room.domain import placement
from odeon_room.domain.event_state import require_open
from odeon_room.domain.events import Event
from odeon_room.domain.participants import require_watchable
from odeon_room.domain.placement import Candidate, Node
from odeon_room.ports import NodeStore, Store, Transaction
from odeon_room.usecases import lookup
from odeon_room.usecases.context import Clock

_FORGET_AFTER = timedelta(days=1)
_JUST_PLACED_S = 10.0
_STALLED_S = 3.0
"""Longer than this without a refresh (every second), and this process itself stood still."""
_log = logger(__name__)


class NodeNotFound(NotFound):
    """The node never reported."""

    reason = "NODE_NOT_FOUND"


@dataclass(slots=True)
class _Seen:
    """A node as this instance knows it.

    Silence is measured by this process's monotonic clock, from the last change of the heartbeat
    count: no clock of another machine matters.

    Attributes:
        beats: heartbeats in the database when it was last read.
        mine: heartbeats since then that came to this instance.
        events: keys of the events that it reported.
        placed: keys of events placed on it, and when; until it reports them itself.
    """

    node: Node
    beats: int
    at: float
    mine: int = 0
    events: set[str] = field(default_factory=set)
    placed: dict[str, float] = field(default_factory=dict)


class NodeBoard:
    """The nodes, kept fresh from reports to this instance and from the database."""

    def __init__(
        self, store: NodeStore, now: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._now = now
        self._monotonic = monotonic
        self._seen: dict[str, _Seen] = {}
        self._listening_since = self._refreshed_at = monotonic()

    def candidates(self) -> list[Candidate]:
        """Every node with its silence and its events."""
        now = self._monotonic()
        return [
            Candidate(
                seen.node,
                silent_s=now - seen.at,
                events=len(seen.events | _recent(seen, now)),
                heard_s=now - self._listening_since,
            )
            for seen in self._seen.values()
        ]

    def candidate(self, node_id: str) -> Candidate | None:
        """One node."""
        return placement.by_id(self.candidates()).get(node_id)

    async def report(self, node: Node, events: Sequence[str]) -> None:
        """Take a heartbeat."""
        seen = self._seen.get(node.id)
        node = placement.reported(node, seen.node if seen else None)
        if seen is None:
            await self.refresh()  # what the prober found before this instance started
            known = self._seen.get(node.id)
            node = placement.reported(node, known.node if known else None)
            seen = self._seen.setdefault(node.id, _Seen(node, 0, 0.0))
        seen.node, seen.at, seen.events = node, self._monotonic(), set(events)
        await self._store.heartbeat(node)
        seen.mine += 1

    async def probe(self, node_id: str, *, ok: bool, error: str) -> Node:
        """Take a prober's verdict."""
        if node_id not in self._seen:
            await self.refresh()
        seen = self._seen.get(node_id)
        if seen is None:
            raise NodeNotFound("no such node", node=node_id)
        seen.node = placement.probed(seen.node, ok=ok, error=error, now=self._now())
        await self._store.probed(seen.node)
        return seen.node

    def placed(self, node_id: str, event_key: str) -> None:
        """An event was just placed; counted until the node reports it itself."""
        if seen := self._seen.get(node_id):
            seen.placed[event_key] = self._monotonic()

    async def refresh(self) -> None:
        """Learn what was reported to other instances."""
        now, wall = self._monotonic(), self._now()
        if now - self._refreshed_at > _STALLED_S:
            self._listening_since = now  # we were away, not the nodes
        self._refreshed_at = now
        stored = await self._store.nodes()
        for node, beats in stored:
            seen = self._seen.get(node.id)
            if seen is None:
                # First sight, e.g. after a restart: only here the stored time must do.
                silent = max(0.0, (wall - node.heartbeat_time).total_seconds())
                self._seen[node.id] = _Seen(node, beats, now - silent)
                continue
            foreign = beats - seen.beats - seen.mine > 0
            if foreign:
                seen.node, seen.at = node, now
            else:
                seen.node = placement.reported(seen.node, node)
            seen.beats, seen.mine = beats, 0
        for gone in self._seen.keys() - {node.id for node, _ in stored}:
            if now - self._seen[gone].at > placement.FRESH_S:
                del self._seen[gone]

    async def forget(self) -> None:
        """Delete nodes that were silent for a day."""
        await self._store.forget_nodes(self._now() - _FORGET_AFTER)


class Nodes:
    """Use cases of nodes and placement."""

    def __init__(self, store: Store, board: NodeBoard) -> None:
        self._store = store
        self._board = board

    async def report(self, caller: Principal, node: Node, events: Sequence[str]) -> bool:
        """Take a heartbeat; answers whether the node is eligible."""
        caller.require_alone()
        NodeId.parse(node.id)
        await self._board.report(node, events)
        candidate = self._board.candidate(node.id)
        return candidate is not None and candidate.eligible

    async def probe(self, caller: Principal, name: str, *, ok: bool, error: str) -> None:
        """Take a prober's verdict."""
        caller.require_alone()
        node = await self._board.probe(NodeId.parse_name(name), ok=ok, error=error)
        if node.probe_failures:
            _log.warning("probe_failed", node=node.id, error=node.probe_error)

    def list(self, caller: Principal) -> list[Candidate]:
        """Every node."""
        caller.require_alone()
        return sorted(self._board.candidates(), key=lambda c: c.node.id)

    async def place(
        self, caller: Principal, *, tenant_id: str, event_name: str
    ) -> tuple[Candidate, Event]:
        """Where an event's media goes; the same node for all callers while it is eligible."""
        tenant = TenantId.parse(caller.tenant_or(tenant_id))
        event_id = EventId.parse_name(event_name)
        caller.require_event(event_id)

        async def work(tx: Transaction) -> Event:
            event = await lookup.event(tx, event_id)
            require_watchable(caller.role, event.state)
            return await self.ensure_placed(tx, event)

        async with self._store.reading(tenant) as tx:
            event = await lookup.event(tx, event_id)
        if event.node and self.keeps(event.node):
            require_watchable(caller.role, event.state)  # nearly always: nothing to decide
        else:
            event = await self._store.atomically(tenant, work)
        candidate = self._board.candidate(event.node)
        if candidate is None:
            raise NodeNotFound("no such node", node=event.node)
        return candidate, event

    async def ensure_placed(self, tx: Transaction, event: Event) -> Event:
        """The event on an eligible node; moves it when its node is not."""
        require_open(event.state)
        node = placement.choose(self._board.candidates(), event.node)
        if node.id == event.node:
            return event
        placed = replace(event, node=node.id)
        await tx.put_event(placed)
        self._board.placed(node.id, f"{tx.tenant}/{event.id}")
        _log.info("event_placed", tenant=tx.tenant, event_id=event.id, node=node.id, was=event.node)
        return placed

    def address(self, node_id: str) -> str:
        """GRPC address of a node; empty when it is unknown."""
        candidate = self._board.candidate(node_id)
        return candidate.node.grpc_address if candidate else ""

    def keeps(self, node_id: str) -> bool:
        """Whether an event may stay on the node."""
        candidate = self._board.candidate(node_id)
        return candidate is not None and candidate.keeps


def _recent(seen: _Seen, now: float) -> set[str]:
    return {key for key, at in seen.placed.items() if now - at < _JUST_PLACED_S}


def report_interval() -> timedelta:
    """How often nodes report."""
    return timedelta(seconds=placement.REPORT_INTERVAL_S)
