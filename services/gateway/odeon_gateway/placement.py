"""Where an event lives: room's word, remembered for the time when room does not answer."""

from dataclasses import dataclass

import grpc
from cachetools import TTLCache
from odeon.room.v1 import room_pb2
from odeon_runtime import telemetry
from odeon_runtime.errors import NotFound
from odeon_runtime.grpc_client import Peers
from odeon_runtime.ids import EventId, NodeId
from odeon_runtime.logs import logger
from odeon_runtime.principal import acting_as

_ASK_S = 5.0
_REMEMBER_S = 600.0
_MAX_EVENTS = 10_000
_tracer = telemetry.tracer(__name__)
_log = logger(__name__)


class NodeGone(NotFound):
    """The node of this session is no more, and the session with it."""

    reason = "SESSION_NOT_FOUND"


@dataclass(frozen=True, slots=True)
class Place:
    """A node for an event.

    Attributes:
        node: id of the node, as in resource URLs.
        address: its gRPC, host:port.
        state: of the event, e.g. "LIVE".
    """

    node: str
    address: str
    state: str


class Placement:
    """Asks room; falls back to its last word, so that a restart of room stops no join."""

    def __init__(self, peers: Peers) -> None:
        self._peers = peers
        self._places: TTLCache[tuple[str, str], Place] = TTLCache(_MAX_EVENTS, ttl=_REMEMBER_S)
        self._addresses: TTLCache[str, str] = TTLCache(_MAX_EVENTS, ttl=_REMEMBER_S)

    async def place(self, tenant: str, event: str) -> Place:
        """The node for an event.

        Raises:
            AioRpcError: as room refused, or room is away and the event is new here.
        """
        request = room_pb2.PlaceEventRequest(tenant_id=tenant, event=EventId(event).resource_name)
        with _tracer.start_as_current_span("placement") as span:
            try:
                with acting_as(None):
                    answer = await self._peers.room.PlaceEvent(request, timeout=_ASK_S)
            except grpc.aio.AioRpcError as error:
                known = self._places.get((tenant, event))
                if known is None or error.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                _log.warning("placed_from_memory", event_key=f"{tenant}/{event}", node=known.node)
                return known
            place = _place(answer)
            span.set_attribute("odeon.node", place.node)
        self._places[(tenant, event)] = place
        self._addresses[place.node] = place.address
        return place

    async def address_of(self, node: str) -> str:
        """GRPC address of a node that a resource URL names.

        Raises:
            NodeGone: no such node any more.
        """
        known = self._addresses.get(node)
        if known is not None:
            return known
        with acting_as(None):
            answer = await self._peers.room.ListNodes(room_pb2.ListNodesRequest(), timeout=_ASK_S)
        for candidate in answer.nodes:
            self._addresses[NodeId.parse_name(candidate.name)] = candidate.grpc_address
        if node not in self._addresses:
            raise NodeGone("no such session", node=node)
        return self._addresses[node]

    def forget(self, node: str) -> None:
        """A node did not answer; ask room before using its address again."""
        self._addresses.pop(node, None)


def _place(answer: room_pb2.PlaceEventResponse) -> Place:
    state = room_pb2.Event.State.Name(answer.event.state).removeprefix("STATE_")
    return Place(NodeId.parse_name(answer.node.name), answer.node.grpc_address, state)
