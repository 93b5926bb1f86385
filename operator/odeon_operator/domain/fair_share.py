"""How tenants share capacity when there is not enough for everybody.

Weighted max-min fairness: every tenant gets the same share per weight, one that asks for less
leaves the rest to the others (work-conserving), and what is live is never taken, even from a tenant
above its share.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, slots=True)
class Claim:
    """What a tenant has and asks for, whole units (slots, viewers).

    Attributes:
        live: units in use; they stay.
        asked: units wanted in all, live ones among them.
        weight: its share relative to others, above zero.
    """

    tenant: str
    live: int
    asked: int
    weight: int = 1

    @property
    def wanted(self) -> int:
        """Live units count as asked for, whatever was said."""
        return max(self.live, self.asked)


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant's standing with a pool.

    Attributes:
        weight: its share relative to others when capacity is short.
        quota: units it may use at once; None is no limit. Auth owns it.
        live: units it uses now.
        waiting: units of its work that waits in the queue.
    """

    name: str
    weight: int = 1
    quota: int | None = None
    live: Fraction = Fraction(0)
    waiting: Fraction = Fraction(0)

    def admitted(self, more: Fraction) -> Fraction:
        """How many of `more` units the quota lets it add. Never takes what is live."""
        if self.quota is None:
            return more
        return min(more, max(Fraction(0), self.quota - self.live))


def divide(capacity: int, claims: Sequence[Claim]) -> dict[str, int]:
    """Units for each tenant; together min(capacity, asked), or all that is live if that is more."""
    level = _level(capacity, claims)
    shares = {c.tenant: min(c.wanted, max(c.live, int(level * c.weight))) for c in claims}
    left = min(capacity, sum(c.wanted for c in claims)) - sum(shares.values())
    # Rounding down left fewer units than there are tenants: one each, the worst served first.
    while left > 0:
        hungry = [c for c in claims if shares[c.tenant] < c.wanted]
        neediest = min(hungry, key=lambda c: (Fraction(shares[c.tenant] + 1, c.weight), c.tenant))
        shares[neediest.tenant] += 1
        left -= 1
    return shares


def _level(capacity: int, claims: Sequence[Claim]) -> Fraction:
    """Units per weight at which the capacity is used up, found by raising it from bend to bend."""
    bends = sorted(
        {Fraction(c.live, c.weight) for c in claims}
        | {Fraction(c.wanted, c.weight) for c in claims}
    )
    level, used = Fraction(0), Fraction(sum(c.live for c in claims))
    for bend in bends:
        rising = sum(
            c.weight for c in claims if c.live <= level * c.weight and level * c.weight < c.wanted
        )
        step = rising * (bend - level)
        if used + step > capacity:
            return level + max(Fraction(0), capacity - used) / rising if rising else level
        level, used = bend, used + step
    return level
