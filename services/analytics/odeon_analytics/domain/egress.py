"""Edges report totals since their start; what an event was sent is the sum over their runs."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """The greatest total of one edge for one event within one run of the edge.

    Attributes:
        run: counts the edge's restarts as seen here; a smaller total than before begins a new one.
        bytes_total: sent in this run.
        at_us: of the last report, Unix microseconds.
    """

    edge: str
    tenant: str
    event: str
    run: int = 0
    bytes_total: int = 0
    at_us: int = 0


def counted(last: Counter, bytes_total: int, at_us: int) -> Counter:
    """The counter after a report."""
    if bytes_total < last.bytes_total:
        return replace(last, run=last.run + 1, bytes_total=bytes_total, at_us=at_us)
    return replace(last, bytes_total=bytes_total, at_us=at_us)
