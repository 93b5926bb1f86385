"""GET /steering/<tenant>/<event>: the content steering manifest; edges ask it for each viewer."""

import random
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from odeon.events.v1 import events_pb2
from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.errors import InvalidArgument
from odeon_runtime.ids import EventId, TenantId
from odeon_runtime.logs import logger
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from odeon_gateway.domain.steering import (
    BASE,
    TTL_S,
    Edge,
    Steering,
    present_edges,
    steer,
)
from odeon_gateway.refusals import refuse

_MAX_EDGES = 1000
_log = logger(__name__)


class EdgeDirectory:
    """The edges as their load reports on NATS describe them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._edges: dict[str, tuple[Edge, str]] = {}
        self._bus: Bus | None = None

    async def follow(self, bus: Bus) -> None:
        """Hear load reports from now on."""
        self._bus = bus
        await bus.subscribe(subjects.EDGE_LOAD, self._heard)

    def present(self) -> list[Edge]:
        """Edges that are there; the last known ones while NATS is away."""
        hearing = self._bus is not None and self._bus.connected.is_set()
        edges = [edge for edge, _ in self._edges.values()]
        return present_edges(edges, self._clock(), hearing=hearing)

    def origins(self) -> list[str]:
        """scheme://host:port of every edge ever heard, for the pages' security policy."""
        return sorted({origin for _, origin in self._edges.values()})

    async def _heard(self, _subject: str, fact: events_pb2.Envelope) -> None:
        if fact.HasField("edge_load_reported"):
            self.report(fact.edge_load_reported)

    def report(self, load: events_pb2.EdgeLoadReported) -> None:
        """Take one report."""
        address = urlsplit(load.public_url)
        if not address.hostname or address.scheme not in ("http", "https"):
            _log.warning("edge_without_address", edge=load.edge[:80])
            return
        if len(self._edges) >= _MAX_EDGES and load.edge not in self._edges:
            self._forget_silent()
        edge = Edge(
            id=load.edge,
            host=address.hostname,
            load=max(sum(event.viewers for event in load.events), load.connections),
            draining=load.draining,
            heard_s=self._clock(),
        )
        self._edges[load.edge] = (edge, f"{address.scheme}://{address.netloc}")

    def _forget_silent(self) -> None:
        oldest = min(self._edges, key=lambda name: self._edges[name][0].heard_s)
        del self._edges[oldest]


class SteeringEndpoint:
    """Answers a player, by way of its edge."""

    def __init__(
        self, edges: EdgeDirectory, edge_url: str, draw: Callable[[], float] = random.random
    ) -> None:
        self._edges = edges
        self._base_host = urlsplit(edge_url).hostname or ""
        self._draw = draw

    async def __call__(self, request: Request) -> Response:
        """The manifest for the pathway that the player is on."""
        try:
            TenantId.parse(request.path_params["tenant"])
            EventId.parse(request.path_params["event"])
        except InvalidArgument as error:
            return refuse(error)
        pathway = request.query_params.get("_HLS_pathway", BASE).strip('"')
        decided = steer(
            self._edges.present(),
            via=_host(request.headers.get("odeon-edge", "")) or self._base_host,
            pathway=pathway,
            draw=self._draw(),
        )
        return JSONResponse(manifest(decided), headers={"cache-control": "no-store"})


def manifest(steering: Steering) -> dict[str, object]:
    """The steering manifest, version 1."""
    body: dict[str, object] = {
        "VERSION": 1,
        "TTL": TTL_S,
        "RELOAD-URI": "steering.json",
        "PATHWAY-PRIORITY": list(steering.priority),
    }
    if steering.clones:
        body["PATHWAY-CLONES"] = [
            {"BASE-ID": BASE, "ID": clone.id, "URI-REPLACEMENT": {"HOST": clone.host}}
            for clone in steering.clones
        ]
    return body


def _host(authority: str) -> str:
    try:
        return urlsplit(f"//{authority}").hostname or ""
    except ValueError:
        return ""
