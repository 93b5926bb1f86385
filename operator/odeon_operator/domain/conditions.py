"""Conditions of a pool: what an SRE asks first, each with a reason and a sentence.

Sentences say what stands and no times, so that nothing is written while nothing changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from odeon_operator.domain.decision import FALLBACK, Decision
from odeon_operator.domain.demand import Certainty
from odeon_operator.domain.pods import Pod, PodState, why_keep
from odeon_operator.domain.policy import Policy, Pool, ScalingMode

_SHORT_OF = ("allocatable GPUs", "back-off", "unhealthy pods")
"""Limits of `starts` and `planning` that mean that the cluster has not what is wanted."""
_QUOTA = "quota"
_TROUBLE = {
    "Ready": ("InvalidSpec", "PodsRefused"),
    "Progressing": ("NewPodsFail", "NewPodsStuck"),
    "MetricsAvailable": ("SomeSilent", "NothingHeard"),
    "Fallback": ("LoadUnknown",),
    "DrainBlocked": ("StillInUse",),
    "CapacityShort": ("CannotStart",),
    "QuotaExceeded": ("TenantsLimited",),
    "ForeignWriter": ("WrittenByOthers",),
}
"""Reasons that somebody should look at; each of these conditions has its section in the runbook."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition; `reason` is CamelCase, as Kubernetes has it.

    Attributes:
        since: when `holds` became what it is.
    """

    kind: str
    holds: bool
    reason: str
    message: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What conditions tell beyond the decision.

    Attributes:
        foreign: who else writes what the operator owns, in a sentence; empty: nobody.
        trouble: what the API server refused, in a sentence; empty: nothing.
        patience: how long a pod may drain before somebody should look.
    """

    foreign: str = ""
    trouble: str = ""
    patience: timedelta = timedelta(minutes=10)


def of_decision(
    pool: Pool, policy: Policy, decision: Decision, pods: Sequence[Pod], about: Circumstances
) -> tuple[Condition, ...]:
    """All conditions of a pool that can be decided on."""
    at = decision.at
    return (
        _ready(decision, pods, about),
        _progressing(policy, decision),
        _active(pool, policy, at),
        _limited(pool, decision),
        _metrics(decision),
        _told("Fallback", decision.rule == FALLBACK, "LoadUnknown", "LoadKnown", at=at),
        _blocked(pods, policy, about, at),
        _short(pool, decision),
        _quota(decision),
        _foreign(about.foreign, at),
    )


def of_problem(problem: str, at: datetime) -> tuple[Condition, ...]:
    """Conditions of a pool whose spec, or whose policy, cannot be used: its pods stay as they are.

    What the other conditions said last is no longer known, so they are left out.
    """
    return (
        Condition("Ready", False, "InvalidSpec", problem, at),
        Condition("ScalingActive", False, "InvalidSpec", "its pods stay as they are", at),
    )


def troubles(conditions: Iterable[Condition]) -> Mapping[str, int]:
    """How many of these are trouble, by kind; every kind that can be is named."""
    found = dict.fromkeys(_TROUBLE, 0)
    for one in conditions:
        if is_trouble(one):
            found[one.kind] += 1
    return found


def is_trouble(condition: Condition) -> bool:
    """Whether somebody should look at it."""
    return condition.reason in _TROUBLE.get(condition.kind, ())


def linked(conditions: Sequence[Condition], runbook: str) -> tuple[Condition, ...]:
    """With the address of what to do in the message of each that is trouble."""

    def link(one: Condition) -> Condition:
        if not runbook or not is_trouble(one):
            return one
        said = f"{one.message}; see" if one.message else "see"
        return replace(one, message=f"{said} {runbook}#{one.kind.lower()}")

    return tuple(link(one) for one in conditions)


def merged(before: Sequence[Condition], now: Sequence[Condition]) -> tuple[Condition, ...]:
    """The present conditions, each since when it really holds or does not."""
    past = {c.kind: c for c in before}

    def since(one: Condition) -> Condition:
        last = past.get(one.kind)
        same = last is not None and last.holds == one.holds
        return replace(one, since=last.since) if same and last is not None else one

    return tuple(since(c) for c in now)


def _told(
    kind: str, holds: bool, yes: str, no: str, *, at: datetime, message: str = ""
) -> Condition:
    return Condition(kind, holds, yes if holds else no, message, at)


def _ready(decision: Decision, pods: Sequence[Pod], about: Circumstances) -> Condition:
    serving = sum(1 for p in pods if p.healthy and p.state in (PodState.READY, PodState.ALLOCATED))
    enough = serving >= decision.wanted
    message = f"{serving} of {decision.wanted} wanted pods serve"
    reason = "EnoughPods" if enough else "TooFewPods"
    if about.trouble and not enough:
        reason, message = "PodsRefused", f"{message}: {about.trouble}"
    return Condition("Ready", enough, reason, message, decision.at)


def _progressing(policy: Policy, decision: Decision) -> Condition:
    rollout, at = decision.rollout, decision.at
    if not rollout.under_way and rollout.finishing:
        message = f"{rollout.finishing} pods of an older template drain"
        return Condition("Progressing", True, "OldPodsFinish", message, at)
    if not rollout.under_way:
        return Condition("Progressing", False, "Updated", "", at)
    message = f"{rollout.updated} pods have the present template, {rollout.outdated} an older one"
    if policy.pause_in or policy.pause_out or policy.dry_run:
        return Condition("Progressing", False, "Paused", message, at)
    if rollout.failing:
        few = ", ".join(rollout.failing[:5])
        message = f"{message}; these crash: {few}"
        return Condition("Progressing", not rollout.halted, "NewPodsFail", message, at)
    if rollout.stuck:
        message = f"{message}; these do not serve: {', '.join(rollout.stuck[:5])}"
        return Condition("Progressing", False, "NewPodsStuck", message, at)
    if rollout.unplaced:
        message = f"{message}; no node takes {rollout.unplaced}"
        return Condition("Progressing", True, "NewPodsWait", message, at)
    if rollout.failures:
        message = f"{message}; {rollout.failures} starts in a row failed"
        return Condition("Progressing", False, "NewPodsFail", message, at)
    return Condition("Progressing", True, "Updating", message, at)


def _active(pool: Pool, policy: Policy, at: datetime) -> Condition:
    if pool.mode is not ScalingMode.POLICY:
        message = f"scalingMode is {pool.mode}: spec.replicas says how many"
        return Condition("ScalingActive", False, f"{pool.mode}Mode", message, at)
    if policy.dry_run:
        message = "decisions are recorded, no pod is touched"
        return Condition("ScalingActive", False, "DryRun", message, at)
    paused = [
        way for way, stopped in (("in", policy.pause_in), ("out", policy.pause_out)) if stopped
    ]
    if paused:
        message = f"pause: {' and '.join(paused)}"
        return Condition("ScalingActive", len(paused) == 1, "Paused", message, at)
    return Condition("ScalingActive", True, "FollowsPolicy", f"policy {policy.name}", at)


def _limited(pool: Pool, decision: Decision) -> Condition:
    by = [x for x in decision.limits if x.who == pool.name and x.by not in _SHORT_OF]
    said = ", ".join(f"{x.by} allows {x.granted} of {x.asked}" for x in by)
    return _told(
        "ScalingLimited", bool(by), "Limited", "WithinBounds", at=decision.at, message=said
    )


def _metrics(decision: Decision) -> Condition:
    certainty, silent = decision.load.certainty, decision.load.silent
    known = certainty is Certainty.KNOWN
    reason = {
        Certainty.KNOWN: "AllHeard",
        Certainty.PARTIAL: "SomeSilent",
        Certainty.UNKNOWN: "NothingHeard",
    }[certainty]
    few = ", ".join(silent[:5]) + (f" and {len(silent) - 5} more" if len(silent) > 5 else "")
    message = "" if known else f"not heard of {few or 'what waits and what was asked'}; none may go"
    return Condition("MetricsAvailable", known, reason, message, decision.at)


def _blocked(pods: Sequence[Pod], policy: Policy, about: Circumstances, now: datetime) -> Condition:
    doubts = [
        f"{p.name}: {doubt}"
        for p in pods
        if p.drain_asked is not None and now - p.drain_asked > about.patience
        if (doubt := why_keep(p, now=now, stale_after=policy.stale_after)) is not None
    ]
    said = "; ".join(doubts[:5])
    return _told("DrainBlocked", bool(doubts), "StillInUse", "NoneWaits", at=now, message=said)


def _short(pool: Pool, decision: Decision) -> Condition:
    by = [x for x in decision.limits if x.who == pool.name and x.by in _SHORT_OF]
    said = ", ".join(f"{x.by}: {x.granted} of {x.asked} pods may start" for x in by)
    return _told("CapacityShort", bool(by), "CannotStart", "Enough", at=decision.at, message=said)


def _quota(decision: Decision) -> Condition:
    over = [x.who for x in decision.limits if x.by == _QUOTA]
    said = ", ".join(over[:5])
    return _told(
        "QuotaExceeded", bool(over), "TenantsLimited", "WithinQuotas", at=decision.at, message=said
    )


def _foreign(foreign: str, at: datetime) -> Condition:
    return _told("ForeignWriter", bool(foreign), "WrittenByOthers", "Alone", at=at, message=foreign)
