"""Rules of a policy: what each asks for while it holds. The largest of the active ones wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from math import ceil

from odeon_operator.domain.amounts import Amount, with_buffer
from odeon_operator.domain.windows import Window, holds

LOAD = "load"
"""Name of the rule that always holds: the load and the policy's own buffer."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to ask for in a window.

    Attributes:
        buffer: instead of the policy's.
        min: at least so many pods.
        max: this rule asks for no more; others may.
        replicas: exactly so many, whatever the load is; the load rule still speaks for the load.
    """

    id: str
    when: Window
    buffer: Amount | None = None
    min: int | None = None
    max: int | None = None
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """What one rule asks for.

    Attributes:
        need: pods that follow the load, exact; tolerance, stabilisation and rates apply to them.
        floor: pods promised whatever the load is; nothing but bounds and budgets applies to them.
    """

    rule: str
    need: Fraction
    floor: int
    reason: str

    @property
    def pods(self) -> int:
        """What it asks for in whole pods."""
        return max(ceil(self.need), self.floor)


def candidates(
    rules: Sequence[Rule], *, load: Fraction, booked: Fraction, buffer: Amount, now: datetime
) -> tuple[Candidate, ...]:
    """What the load, the bookings and every active rule ask for.

    `load` and `booked` are in pods. A buffer is for what nobody announced, so it is made of the
    load alone.
    """
    found = [
        Candidate(
            LOAD,
            with_buffer(load, buffer) + booked,
            ceil(load + booked) if booked else 0,
            f"{float(load):.2f} pods of load, {float(booked):.2f} booked, buffer {buffer}",
        )
    ]
    found += [
        _of_rule(rule, load=load, booked=booked, buffer=buffer)
        for rule in rules
        if holds(rule.when, now)
    ]
    return tuple(found)


def _of_rule(rule: Rule, *, load: Fraction, booked: Fraction, buffer: Amount) -> Candidate:
    if rule.replicas is not None:
        return Candidate(rule.id, Fraction(0), rule.replicas, f"exactly {rule.replicas}")
    own = rule.buffer if rule.buffer is not None else buffer
    need, floor = with_buffer(load, own) + booked, rule.min or 0
    if rule.max is not None:
        need, floor = min(need, Fraction(rule.max)), min(floor, rule.max)
    at_least = f", at least {rule.min}" if rule.min is not None else ""
    at_most = f", at most {rule.max}" if rule.max is not None else ""
    return Candidate(rule.id, need, floor, f"buffer {own}{at_least}{at_most}")
