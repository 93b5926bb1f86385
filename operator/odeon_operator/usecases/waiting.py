"""Work that waits, as far as it is a pool's."""

from dataclasses import dataclass
from fractions import Fraction

from odeon_operator.domain.fair_share import Tenant
from odeon_operator.ports import PoolFacts, Queue

_TRANSCODERS = "TranscoderPool"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a pool must know of the queue.

    Attributes:
        known: whether it could be read, if it is the pool's at all.
        tenants: who waits, for how many slots.
    """

    known: bool = True
    tenants: tuple[Tenant, ...] = ()


def waiting(pool: PoolFacts, queue: Queue | None) -> Waiting:
    """What waits for a pool of transcoders; nothing ever waits for edges.

    There is one queue: pools that take the same tenants' jobs each count all of them. How many
    slots a job costs is known when it runs; until then it counts as one.
    """
    if queue is None or pool.ref.kind != _TRANSCODERS:
        return Waiting()
    jobs = queue.waiting()
    if jobs is None:
        return Waiting(known=False)
    mine = {t: n for t, n in sorted(jobs.items()) if pool.tenant in ("", t)}
    return Waiting(tenants=tuple(Tenant(t, waiting=Fraction(n)) for t, n in mine.items()))
