"""To which edge a viewer is steered (HLS content steering, RFC 8216bis section 7).

Playlists are cached and identical for everybody, so they know one pathway, BASE: the host that the
viewer used. The manifest adds every other edge as a clone of it with another HOST; paths, tokens
and ports stay. A viewer stays where it is unless its edge drains, is gone, or carries so much more
than the others that this viewer is among those who should move.
"""

from collections.abc import Sequence
from dataclasses import dataclass

BASE = "main"
"""PATHWAY-ID that the recorder's multivariant playlist names."""
TTL_S = 5
STALE_AFTER_S = 6.0
"""An edge that has not reported for this long is gone: it reports every second."""
SLACK = 1.25
"""Loads up to this much above the mean are even enough; moving costs a viewer a request."""
SMALLEST_SPREAD = 20
"""Fewer viewers than this above the mean are not worth moving anybody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One edge as its last report says.

    Attributes:
        id: names it in logs, and as a pathway.
        host: by which players reach it, without port: all edges share one.
        load: viewers, or connections where those are not known.
        draining: it wants to go.
        heard_s: when it reported, monotonic seconds.
    """

    id: str
    host: str
    load: int = 0
    draining: bool = False
    heard_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Clone:
    """A pathway that differs from BASE by its host."""

    id: str
    host: str


@dataclass(frozen=True, slots=True)
class Steering:
    """What the manifest says: pathways, best first, and the clones among them."""

    priority: tuple[str, ...]
    clones: tuple[Clone, ...] = ()


def present_edges(edges: Sequence[Edge], now_s: float, *, hearing: bool) -> list[Edge]:
    """Edges that are there; while NATS is away (`hearing` is false) the last knowledge stands."""
    return [edge for edge in edges if not hearing or now_s - edge.heard_s <= STALE_AFTER_S]


def steer(edges: Sequence[Edge], *, via: str, pathway: str, draw: float) -> Steering:
    """Decide for one viewer.

    Args:
        edges: those that are there.
        via: host that the viewer's playlist came from, which is what BASE means to it.
        pathway: the pathway that its player is on.
        draw: 0 <= draw < 1, evenly drawn for this request.
    """
    by_pathway = {_pathway(edge, via): edge for edge in sorted(edges, key=lambda e: e.id)}
    staying = [edge for edge in by_pathway.values() if not edge.draining]
    leaving = [name for name, edge in by_pathway.items() if edge.draining]
    ranked = sorted(staying, key=lambda edge: (edge.load, edge.id))
    present = by_pathway.get(pathway or BASE)
    if present in staying and not _moves(present, staying, draw):
        ranked = [present, *(edge for edge in ranked if edge is not present)]
    order = [_pathway(edge, via) for edge in ranked]
    # Edges that drain come last, not never: with nowhere else to go they still serve.
    return _manifest(by_pathway, [*order, *leaving])


def _moves(edge: Edge, staying: Sequence[Edge], draw: float) -> bool:
    """Whether this viewer is of those above the mean; on average the surplus moves, no more."""
    mean = sum(other.load for other in staying) / len(staying)
    surplus = edge.load - mean
    if edge.load <= mean * SLACK or surplus < SMALLEST_SPREAD:
        return False
    # Half of the surplus a round: reports lag behind, and overshooting swings.
    return draw < surplus / edge.load / 2


def _pathway(edge: Edge, via: str) -> str:
    if edge.host == via:
        return BASE
    return f"{edge.id}-edge" if edge.id == BASE else edge.id


def _manifest(by_pathway: dict[str, Edge], order: list[str]) -> Steering:
    if BASE not in by_pathway:
        # The viewer's host is none of the edges we hear: a name for all of them, or one that
        # has fallen silent. Either way it is the last resort, and the only one if there is none.
        order = [*order, BASE]
    clones = tuple(Clone(name, edge.host) for name, edge in by_pathway.items() if name != BASE)
    return Steering(tuple(order), clones)
