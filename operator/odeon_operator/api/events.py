"""LiveEvents: between resources and the domain."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import ValidationError

from odeon_operator.api import shapes
from odeon_operator.domain.booking_status import Amounts, EventStatus, EventSubject
from odeon_operator.domain.bookings import Phase
from odeon_operator.domain.conditions import Condition
from odeon_operator.domain.projecting import EventRef, EventSpec, StandingEvent, finished

Object = dict[str, Any]
PROJECTED = "odeon.live/projected-from"
"""Label of what was made of the product's bookings; whoever removes it keeps the object."""
SOURCE = "room"
TENANT = "odeon.live/tenant"


class EventObjects:
    """Reads and writes LiveEvents."""

    def standing(self, raw: Object) -> StandingEvent:
        """One as it stands, for the projection and for its time to live."""
        meta = raw["metadata"]
        spec = _spec(raw)
        ttl = spec.ttl_seconds_after_finished if spec is not None else None
        projected = (meta.get("labels") or {}).get(PROJECTED) == SOURCE
        return StandingEvent(
            ref=EventRef(meta["namespace"], meta["name"]),
            uid=meta["uid"],
            revision=meta["resourceVersion"],
            projected=projected,
            spec=_projected(spec) if projected and spec is not None else None,
            finished=_finished(spec),
            ttl=timedelta(seconds=ttl) if ttl is not None else None,
            leaving="deletionTimestamp" in meta,
        )

    def subject(self, raw: Object, *, foreign: str) -> EventSubject:
        """What its status is about. `foreign`: why it may not be here; empty: it may."""
        generation = int(raw["metadata"].get("generation", 0))
        before = status_of(raw.get("status"))
        try:
            spec = shapes.LiveEventSpec.model_validate(raw.get("spec") or {})
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False)[0]
            where = ".".join(str(part) for part in ("spec", *first["loc"]))
            problem = f"{where}: {first['msg'].removeprefix('Value error, ')}"
            return EventSubject(generation, None, before, problem, "InvalidSpec")
        reason = "ForeignNamespace" if foreign else ""
        return EventSubject(generation, spec.start, before, foreign, reason)

    def tenant(self, raw: Object) -> str:
        """The tenant that it names."""
        return str(((raw.get("spec") or {}).get("tenantRef") or {}).get("name") or "")

    def body(self, ref: EventRef, spec: EventSpec) -> Object:
        """What is applied; every field that is ours is named, so that none stays by mistake."""
        return {
            "apiVersion": "odeon.live/v1alpha1",
            "kind": "LiveEvent",
            "metadata": {
                "name": ref.name,
                "namespace": ref.namespace,
                "labels": {PROJECTED: SOURCE, TENANT: spec.tenant},
            },
            "spec": {
                "tenantRef": {"name": spec.tenant},
                "start": _written(spec.start),
                "end": _written(spec.end),
                "expected": {
                    "viewers": {"p95": spec.viewers},
                    "transcodes": [
                        {"profile": profile, "count": count} for profile, count in spec.transcodes
                    ],
                },
                "registrations": spec.registrations,
                "followed": True,
                **({"startedAt": _written(spec.started)} if spec.started is not None else {}),
                **({"endedAt": _written(spec.ended)} if spec.ended is not None else {}),
                "cancelled": spec.cancelled,
                "ttlSecondsAfterFinished": round(spec.ttl.total_seconds()),
            },
        }

    def status_body(self, status: EventStatus) -> Object:
        """The status as its resource has it. What is not said is null, so a merge removes it."""
        return {
            "observedGeneration": status.generation,
            "phase": status.phase.value if status.phase is not None else None,
            "prewarmAt": _written(status.prewarm) if status.prewarm is not None else None,
            "readyAt": _written(status.ready) if status.ready is not None else None,
            "reserved": _amounts(status.reserved),
            "actualPeak": _amounts(status.peak),
            "conditions": [
                {
                    "type": one.kind,
                    "status": "True" if one.holds else "False",
                    "observedGeneration": status.generation,
                    "lastTransitionTime": _written(one.since),
                    "reason": one.reason,
                    "message": one.message,
                }
                for one in status.conditions
            ],
        }

    def status(self, raw: Object) -> EventStatus | None:
        """The status as it stands."""
        return status_of(raw.get("status"))


def status_of(raw: Object | None) -> EventStatus | None:
    """A status as it stands; None when there is none, or when somebody made a mess of it."""
    if not raw:
        return None
    try:
        shape = shapes.LiveEventStatus.model_validate(raw)
    except ValidationError:
        return None
    return EventStatus(
        generation=shape.observed_generation or 0,
        phase=Phase(shape.phase) if shape.phase is not None else None,
        prewarm=shape.prewarm_at,
        ready=shape.ready_at,
        reserved=_amounts_of(shape.reserved),
        peak=_amounts_of(shape.actual_peak),
        conditions=tuple(
            Condition(c.type, c.status == "True", c.reason, c.message, c.last_transition_time)
            for c in shape.conditions
        ),
    )


def peak_of(raw: Object | None) -> Amounts | None:
    """The most that an event used, as its status has it."""
    try:
        return _amounts_of(shapes.AmountsShape.model_validate(raw)) if raw else None
    except ValidationError:
        return None


def _spec(raw: Object) -> shapes.LiveEventSpec | None:
    try:
        return shapes.LiveEventSpec.model_validate(raw.get("spec") or {})
    except ValidationError:
        return None


def _projected(spec: shapes.LiveEventSpec) -> EventSpec:
    ttl = spec.ttl_seconds_after_finished
    return EventSpec(
        tenant=spec.tenant_ref.name,
        start=spec.start,
        end=spec.end,
        started=spec.started_at,
        ended=spec.ended_at,
        cancelled=spec.cancelled,
        viewers=spec.expected.viewers.p95 or 0,
        registrations=spec.registrations or 0,
        transcodes=tuple(sorted((t.profile, t.count) for t in spec.expected.transcodes)),
        ttl=timedelta(seconds=ttl) if ttl is not None else timedelta.max,
    )


def _finished(spec: shapes.LiveEventSpec | None) -> datetime | None:
    if spec is None:
        return None
    return finished(end=spec.end, started=spec.started_at, ended=spec.ended_at)


def _amounts(amounts: Amounts | None) -> Object | None:
    if amounts is None:
        return None
    return {"slots": amounts.slots, "viewers": amounts.viewers}


def _amounts_of(shape: shapes.AmountsShape | None) -> Amounts | None:
    return Amounts(shape.slots, shape.viewers) if shape is not None else None


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
