"""A pool's status, from the domain to the resource and back."""

from datetime import datetime
from typing import Any

from pydantic import ValidationError

from odeon_operator.api import shapes
from odeon_operator.domain.conditions import Condition
from odeon_operator.domain.status import (
    Carried,
    ColdStart,
    Counts,
    DecisionNote,
    Desired,
    PoolStatus,
)

Object = dict[str, Any]
_SHAPES: dict[str, type[shapes.TranscoderPoolStatus] | type[shapes.EdgePoolStatus]] = {
    "TranscoderPool": shapes.TranscoderPoolStatus,
    "EdgePool": shapes.EdgePoolStatus,
}
_SAID_MOST = 64
"""Sentences of one decision that the resource has room for."""


def status_body(kind: str, status: PoolStatus) -> Object:
    """The status as its resource has it. What is not said is null, so that a merge removes it."""
    counts, carried = status.counts, status.carried
    body: Object = {
        "observedGeneration": status.generation,
        "replicas": counts.replicas,
        "ready": counts.ready,
        "allocated": counts.allocated,
        "reserved": counts.reserved,
        "draining": counts.draining,
        "pending": counts.pending,
        "unhealthy": counts.unhealthy,
        "updated": counts.updated,
        "outdated": counts.outdated,
        "selector": status.selector,
        "desired": _desired(status.desired),
        "coldStart": {
            "p50Seconds": status.cold_start.p50,
            "p95Seconds": status.cold_start.p95,
            "samples": status.cold_start.samples,
        },
        "lastScaleTime": _written(status.last_scale) if status.last_scale is not None else None,
        "decisions": [_note(note) for note in status.decisions],
        "conditions": [_condition(one, status.generation) for one in status.conditions],
    }
    if kind == "EdgePool":
        return {**body, "viewers": carried.viewers, "egressMbps": carried.egress_mbps}
    return {**body, "slots": {"total": carried.slots_total, "used": carried.slots_used}}


def status_of(kind: str, raw: Object | None) -> PoolStatus | None:
    """The status as it stands; None when there is none, or when somebody made a mess of it."""
    if not raw:
        return None
    try:
        shape = _SHAPES[kind].model_validate(raw)
    except ValidationError:
        return None
    cold = shape.cold_start
    return PoolStatus(
        generation=shape.observed_generation or 0,
        selector=shape.selector,
        counts=Counts(
            replicas=shape.replicas,
            ready=shape.ready,
            allocated=shape.allocated,
            reserved=shape.reserved,
            draining=shape.draining,
            pending=shape.pending,
            unhealthy=shape.unhealthy,
            updated=shape.updated,
            outdated=shape.outdated,
        ),
        carried=_carried(shape),
        desired=_desired_of(shape.desired),
        cold_start=ColdStart(cold.p50_seconds, cold.p95_seconds, cold.samples)
        if cold is not None
        else ColdStart(),
        last_scale=shape.last_scale_time,
        decisions=tuple(
            DecisionNote(d.at, d.wanted, d.previous, d.rule, tuple(d.said), d.trace_id or "")
            for d in shape.decisions
        ),
        conditions=tuple(
            Condition(c.type, c.status == "True", c.reason, c.message, c.last_transition_time)
            for c in shape.conditions
        ),
    )


def _carried(shape: shapes.TranscoderPoolStatus | shapes.EdgePoolStatus) -> Carried:
    if isinstance(shape, shapes.EdgePoolStatus):
        return Carried(viewers=shape.viewers, egress_mbps=shape.egress_mbps)
    slots = shape.slots
    return Carried(slots.total, slots.used) if slots is not None else Carried()


def _desired(desired: Desired | None) -> Object | None:
    if desired is None:
        return None
    return {
        "replicas": desired.replicas,
        "rule": desired.rule,
        "reason": desired.reason,
        "at": _written(desired.at),
        "traceId": desired.trace or None,
    }


def _desired_of(shape: shapes.DesiredShape | None) -> Desired | None:
    if shape is None:
        return None
    return Desired(shape.replicas, shape.rule, shape.reason, shape.at, shape.trace_id or "")


def _note(note: DecisionNote) -> Object:
    # A null in a list stays a null: only the object around it is merged.
    trace = {"traceId": note.trace} if note.trace else {}
    return {
        "at": _written(note.at),
        "wanted": note.wanted,
        "previous": note.previous,
        "rule": note.rule,
        "said": list(note.said[:_SAID_MOST]),
        **trace,
    }


def _condition(condition: Condition, generation: int) -> Object:
    return {
        "type": condition.kind,
        "status": "True" if condition.holds else "False",
        "observedGeneration": generation,
        "lastTransitionTime": _written(condition.since),
        "reason": condition.reason,
        "message": condition.message,
    }


def _written(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
