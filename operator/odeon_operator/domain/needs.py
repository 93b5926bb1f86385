"""Load and bookings in pods, within the quotas of the tenants that ask."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from odeon_operator.domain.amounts import with_buffer
from odeon_operator.domain.bookings import still_to_come
from odeon_operator.domain.cold_start import lead
from odeon_operator.domain.decision import Inputs
from odeon_operator.domain.demand import Load, Target
from odeon_operator.domain.fair_share import Claim, Tenant, divide
from odeon_operator.domain.limits import Limit
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.prediction import forecast
from odeon_operator.domain.reports import Metric
from odeon_operator.domain.rules import Candidate, candidates


@dataclass(frozen=True, slots=True)
class Needs:
    """What is asked of a pool.

    Attributes:
        candidates: by rule, each the largest over the pool's targets.
        predicted: pods that the prediction would want.
        promised: pods that the load and the bookings need without any buffer.
        limits: tenants that asked beyond their quota.
        claims: what each tenant has and asks for, in units of the first target.
        per_pod: units of the first target in one pod.
    """

    candidates: tuple[Candidate, ...]
    predicted: int
    promised: int
    limits: tuple[Limit, ...]
    claims: tuple[Claim, ...]
    per_pod: Fraction

    def shares(self, asked: int, most: int) -> tuple[tuple[str, int], ...]:
        """Units by tenant when more pods are asked for than there may be; else empty."""
        if asked <= most or not self.claims:
            return ()
        return tuple(sorted(divide(int(most * self.per_pod), self.claims).items()))


@dataclass(frozen=True, slots=True)
class _Asking:
    """What a tenant adds to the load, in units of the first target."""

    tenant: Tenant
    waiting: Fraction
    booked: Fraction

    @property
    def admitted(self) -> Fraction:
        return self.tenant.admitted(self.waiting + self.booked)


def add_up(pool: Pool, policy: Policy, inputs: Inputs, load: Load) -> Needs:
    """Turn load, queue and bookings into pods."""
    first = pool.targets[0].metric
    asking = _asking(policy, inputs, first)
    merged: dict[str, Candidate] = {}
    predicted = promised = 0
    for target in pool.targets:
        waiting, booked = _beyond_load(policy, inputs, target, first, asking)
        carried = (load.of(target.metric) + waiting) / target.per_pod
        kept = booked / target.per_pod
        promised = max(promised, ceil(carried + kept))
        ahead = forecast(
            inputs.bookings, target.metric, inputs.past_events, policy.predictive, inputs.now
        )
        soon = with_buffer(carried, policy.buffer) + ahead / target.per_pod
        predicted = max(predicted, ceil(soon))
        found = candidates(
            policy.rules, load=carried, booked=kept, buffer=policy.buffer, now=inputs.now
        )
        for one in found:
            merged[one.rule] = _larger(merged.get(one.rule), one)
    limits = tuple(
        Limit(a.tenant.name, "quota", ceil(a.waiting + a.booked), ceil(a.admitted))
        for a in asking
        if a.admitted < a.waiting + a.booked
    )
    return Needs(
        tuple(merged.values()),
        predicted,
        promised,
        limits,
        _claims(asking),
        pool.targets[0].per_pod,
    )


def _asking(policy: Policy, inputs: Inputs, metric: Metric) -> tuple[_Asking, ...]:
    booked: dict[str, Fraction] = {}
    for booking in inputs.bookings:
        early = lead(booking.lead or policy.events.lead, inputs.cold_starts, policy.events.safety)
        more = still_to_come(booking, metric, policy.events, lead=early, now=inputs.now)
        booked[booking.tenant] = booked.get(booking.tenant, Fraction(0)) + more
    tenants = {t.name: t for t in inputs.tenants}
    names = sorted(tenants.keys() | booked.keys())
    known = [tenants.get(name, Tenant(name)) for name in names]
    return tuple(_Asking(t, t.waiting, booked.get(t.name, Fraction(0))) for t in known)


def _beyond_load(
    policy: Policy, inputs: Inputs, target: Target, first: Metric, asking: Sequence[_Asking]
) -> tuple[Fraction, Fraction]:
    """Units that wait, and units that are booked. Bookings are served before the queue."""
    if target.metric is first:
        booked = sum((a.tenant.admitted(a.booked) for a in asking), Fraction(0))
        return sum((a.admitted for a in asking), Fraction(0)) - booked, booked
    kept = Fraction(0)
    for booking in inputs.bookings:
        early = lead(booking.lead or policy.events.lead, inputs.cold_starts, policy.events.safety)
        kept += still_to_come(booking, target.metric, policy.events, lead=early, now=inputs.now)
    return Fraction(0), kept


def _larger(one: Candidate | None, two: Candidate) -> Candidate:
    if one is None:
        return two
    bigger = one if one.pods >= two.pods else two
    return Candidate(one.rule, max(one.need, two.need), max(one.floor, two.floor), bigger.reason)


def _claims(asking: Sequence[_Asking]) -> tuple[Claim, ...]:
    return tuple(
        Claim(
            a.tenant.name,
            live=ceil(a.tenant.live),
            asked=ceil(a.tenant.live + a.admitted),
            weight=a.tenant.weight,
        )
        for a in asking
    )
