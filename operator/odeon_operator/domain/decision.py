"""What was decided and why, as data: for a pool's status, an event, and an SRE who asks."""

from dataclasses import dataclass, field
from datetime import datetime

from odeon_operator.domain.behavior import Past
from odeon_operator.domain.bookings import Booking, Phase
from odeon_operator.domain.cold_start import ColdStarts
from odeon_operator.domain.demand import Certainty, Load, Observation
from odeon_operator.domain.fair_share import Tenant
from odeon_operator.domain.limits import Limit
from odeon_operator.domain.pods import Pod
from odeon_operator.domain.prediction import PastEvent
from odeon_operator.domain.rollout import Rollout
from odeon_operator.domain.rules import Candidate
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.starts import Room

HOLD = "hold"
"""Name of what rules when the load is unknown."""
FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Inputs:
    """Everything that a decision may depend on.

    Attributes:
        now: the present; the domain has no clock.
        pods: of the pool, without those that are gone.
        tenants: who uses the pool, who waits for it.
        queue_known: whether `waiting` of the tenants could be read.
        external: the value of an external metric, if the pool has such a target.
        gpu_hours_today: None when not known.
    """

    now: datetime
    pods: tuple[Pod, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    queue_known: bool = True
    external: Observation | None = None
    bookings: tuple[Booking, ...] = ()
    past_events: tuple[PastEvent, ...] = ()
    cold_starts: ColdStarts = field(default_factory=ColdStarts)
    room: Room = field(default_factory=Room)
    gpu_hours_today: float | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What a pool's next decision must know of the last ones.

    Attributes:
        wanted: the number wanted last; None after a restart that found none.
        past: what stabilisation and rates look back on.
        unknown_since: since when nothing is known of the load.
    """

    wanted: int | None = None
    past: Past = field(default_factory=Past)
    unknown_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision.

    Attributes:
        wanted: pods that the pool should have; `previous` is what was wanted before.
        rule: what decided: a rule's id, `load`, `minReplicas`, `hold`, `fallback`, `replicas`.
        candidates: what each active rule asked for.
        held_by: words of the policy that kept the number from following at once.
        limits: who got less than was asked for, and by what.
        shares: units by tenant, when capacity is short.
        phases: where each booking stands.
        predicted: what the prediction would want; None when it is off.
        warnings: what an SRE should look at.
        rollout: where the update to the present template stands.
        notices: why pods have to leave their nodes.
    """

    pool: str
    at: datetime
    wanted: int
    previous: int
    standing: int
    rule: str
    load: Load
    candidates: tuple[Candidate, ...] = ()
    held_by: tuple[str, ...] = ()
    limits: tuple[Limit, ...] = ()
    shares: tuple[tuple[str, int], ...] = ()
    phases: tuple[tuple[str, Phase], ...] = ()
    predicted: int | None = None
    warnings: tuple[str, ...] = ()
    dry_run: bool = False
    actions: Actions = field(default_factory=Actions)
    rollout: Rollout = field(default_factory=Rollout)
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision and what to remember of it. What to do is in `decision.actions`."""

    decision: Decision
    memory: Memory


def explain(decision: Decision) -> tuple[str, ...]:
    """The decision in sentences, the result first."""
    said = [
        f"{decision.pool} wants {_pods(decision.wanted)} (before: {decision.previous}, "
        f"standing: {decision.standing}), decided by {decision.rule}."
    ]
    if decision.dry_run:
        said.append("Dry run: no pod is touched.")
    if decision.load.certainty is not Certainty.KNOWN:
        silent = ", ".join(decision.load.silent) or "outside sources"
        said.append(f"The load is {decision.load.certainty}: not heard of {silent}. None may go.")
    said += [f"Rule {c.rule} asks for {c.pods}: {c.reason}." for c in decision.candidates]
    if decision.predicted is not None:
        said.append(f"The prediction asks for {decision.predicted}.")
    said += [f"Held back by {word}." for word in decision.held_by]
    said += [f"{x.who} asked for {x.asked} and got {x.granted}: {x.by}." for x in decision.limits]
    said += [f"Booking {name} is {phase}." for name, phase in decision.phases]
    said += [f"Warning: {warning}." for warning in decision.warnings]
    said += _updating(decision.rollout)
    said += [f"Pods leave: {why}." for why in decision.notices]
    did = decision.actions
    for verb, pods in (("Starts", did.start), ("Takes back", did.undrain)):
        if pods:
            said.append(f"{verb} {len(pods)}.")
    for verb, uids in (
        ("Drains", did.drain),
        ("Moves the work of", did.hand_over),
        ("Deletes", did.delete),
    ):
        if uids:
            said.append(f"{verb} {', '.join(uids)}.")
    return tuple(said)


def figures(decision: Decision) -> dict[str, str | int | bool]:
    """The decision as flat facts, for a span and a line of the log: inputs, rule, result."""
    did = decision.actions
    return {
        "wanted": decision.wanted,
        "previous": decision.previous,
        "standing": decision.standing,
        "rule": decision.rule,
        "load": " ".join(f"{metric}={float(units):g}" for metric, units in decision.load.units),
        "certainty": decision.load.certainty.value,
        "asked": " ".join(f"{c.rule}={c.pods}" for c in decision.candidates),
        "held_by": " ".join(decision.held_by),
        "limits": " ".join(f"{x.who}:{x.by}={x.granted}/{x.asked}" for x in decision.limits),
        "bookings": len(decision.phases),
        "updated": decision.rollout.updated,
        "outdated": decision.rollout.outdated,
        "dry_run": decision.dry_run,
        "starts": len(did.start),
        "takes_back": len(did.undrain),
        "drains": len(did.drain),
        "hands_over": len(did.hand_over),
        "deletes": len(did.delete),
    }


def _updating(rollout: Rollout) -> list[str]:
    if not rollout.under_way:
        return []
    said = f"Updates: {rollout.updated} pods have the present template, {rollout.outdated} an older"
    if rollout.halted:
        return [f"{said}. Halted: {', '.join(rollout.failing[:5])} crash."]
    return [f"{said}."]


def _pods(count: int) -> str:
    return "1 pod" if count == 1 else f"{count} pods"
