"""What a pool's status says: counts, the wanted number, the last decisions, conditions.

Built anew from every decision and compared with what stands: when they are equal nothing is
written, and what somebody edited by hand is put right.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from odeon_operator.domain.conditions import Condition
from odeon_operator.domain.decision import Decision, explain
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.sight import Readings

KEPT_DECISIONS = 10


@dataclass(frozen=True, slots=True)
class Counts:
    """Pods by state. `replicas` are those that take work or will: what `/scale` shows.

    `updated` are those of the present template, `outdated` the others, both in whatever state.
    """

    replicas: int = 0
    ready: int = 0
    allocated: int = 0
    reserved: int = 0
    draining: int = 0
    pending: int = 0
    unhealthy: int = 0
    updated: int = 0
    outdated: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """What the pods carry. A part that the pool has not is zero."""

    slots_total: float = 0.0
    slots_used: float = 0.0
    viewers: int = 0
    egress_mbps: float = 0.0


@dataclass(frozen=True, slots=True)
class Desired:
    """The wanted number and what decided it."""

    replicas: int
    rule: str
    reason: str
    at: datetime
    trace: str = ""


@dataclass(frozen=True, slots=True)
class DecisionNote:
    """A decision as an SRE reads it."""

    at: datetime
    wanted: int
    previous: int
    rule: str
    said: tuple[str, ...] = ()
    trace: str = ""


@dataclass(frozen=True, slots=True)
class ColdStart:
    """What was learned of how long a pod takes to start, in seconds."""

    p50: int = 0
    p95: int = 0
    samples: int = 0


@dataclass(frozen=True, slots=True)
class PoolStatus:
    """`status` of a pool."""

    generation: int
    selector: str = ""
    counts: Counts = Counts()
    carried: Carried = Carried()
    desired: Desired | None = None
    cold_start: ColdStart = ColdStart()
    last_scale: datetime | None = None
    decisions: tuple[DecisionNote, ...] = ()
    conditions: tuple[Condition, ...] = field(default=())


def count(pods: Sequence[Pod], version: str | None = None) -> Counts:
    """Pods by state, and by template if the present one is known."""
    states = [p.state for p in pods]
    return Counts(
        replicas=sum(1 for p in pods if p.standing),
        ready=states.count(PodState.READY),
        allocated=states.count(PodState.ALLOCATED),
        reserved=sum(p.report.reserved for p in pods if p.report is not None),
        draining=states.count(PodState.DRAINING),
        pending=sum(1 for p in pods if p.standing and not p.node),
        unhealthy=sum(1 for p in pods if not p.healthy),
        updated=sum(1 for p in pods if p.version == version),
        outdated=sum(1 for p in pods if version is not None and p.version != version),
    )


def carry(readings: Sequence[Readings]) -> Carried:
    """What all pods together carry, as they said last."""
    heard = [r.latest for r in readings if r.latest is not None]
    return Carried(
        slots_total=sum(h.slots_total for h in heard),
        slots_used=sum(h.report.slots for h in heard),
        viewers=sum(h.report.viewers for h in heard),
        # A tenth is finer than anybody reads and coarser than what flickers.
        egress_mbps=round(sum(h.report.egress_mbps for h in heard), 1),
    )


def noted(
    before: PoolStatus | None, decision: Decision, trace: str, *, told: PoolStatus | None
) -> tuple[DecisionNote, ...]:
    """The last decisions with this one, if it says something new. The newest comes last.

    Args:
        before: what would have been told at the last look.
        decision: of this one.
        trace: where it is looked at closely.
        told: what was told last. Steps of one decision that come between two tellings are one note.
    """
    past = before.decisions if before is not None else ()
    written = told is not None and past[-1:] == told.decisions[-1:]
    if past and not _is_news(past[-1], decision, written=written):
        return past
    note = DecisionNote(
        decision.at, decision.wanted, decision.previous, decision.rule, explain(decision), trace
    )
    return (*past, note)[-KEPT_DECISIONS:]


def desired(before: PoolStatus | None, decision: Decision, trace: str) -> Desired:
    """The wanted number; `at` is when it became what it is."""
    held = before.desired if before is not None else None
    if held is not None and (held.replicas, held.rule) == (decision.wanted, decision.rule):
        return held
    reason = explain(decision)[0]
    return Desired(decision.wanted, decision.rule, reason, decision.at, trace)


def last_scale(before: PoolStatus | None, decision: Decision) -> datetime | None:
    """When the wanted number changed last."""
    if decision.wanted != decision.previous and not decision.dry_run:
        return decision.at
    return before.last_scale if before is not None else None


def due(
    before: PoolStatus | None,
    wanted: PoolStatus,
    *,
    written: datetime | None,
    now: datetime,
    spacing: timedelta,
) -> timedelta | None:
    """In how long a status is to be written: zero is now, None is not at all."""
    if before == wanted:
        return None
    if written is None or not timedelta(0) <= now - written < spacing:
        return timedelta(0)
    return written + spacing - now


def _is_news(last: DecisionNote, decision: Decision, *, written: bool) -> bool:
    did = decision.actions
    moved = bool(did.start or did.drain or did.undrain)
    return (moved and written) or (last.wanted, last.rule) != (decision.wanted, decision.rule)
