"""What is worth telling of a look at a pool: what a decision changed, and conditions that turned.

Reasons are few and stable, so that equal ones can be counted instead of repeated.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from odeon_operator.domain.conditions import Condition, is_trouble
from odeon_operator.domain.decision import Decision, explain
from odeon_operator.domain.pods import Pod

NOTE_MOST = 1000
"""Characters of a note that an Event has room for (events.k8s.io: 1 kB)."""
_FEW = 5


@dataclass(frozen=True, slots=True)
class Announcement:
    """One thing to tell.

    Attributes:
        reason: CamelCase, why.
        action: what was done, a verb.
        note: for people.
        warning: somebody should look at it.
    """

    reason: str
    action: str
    note: str
    warning: bool = False


def of_decision(decision: Decision, pods: Sequence[Pod]) -> tuple[Announcement, ...]:
    """What a decision changes; nothing for one that changes nothing, or only tries."""
    if decision.dry_run:
        return ()
    return (*_number(decision), *_pods(decision, {p.uid: p.name for p in pods}))


def of_conditions(
    before: Iterable[Condition], now: Iterable[Condition]
) -> tuple[Announcement, ...]:
    """Conditions that turned. Of those that are new only trouble is told."""
    past = {c.kind: (c.holds, c.reason) for c in before}
    found = []
    for one in now:
        known = past.get(one.kind)
        turned = known is not None and known != (one.holds, one.reason)
        if turned or (known is None and is_trouble(one)):
            state = "holds" if one.holds else "does not hold"
            said = f"{one.kind} {state}" + (f": {one.message}" if one.message else "")
            found.append(Announcement(one.reason, "Observe", said[:NOTE_MOST], is_trouble(one)))
    return tuple(found)


def _number(decision: Decision) -> list[Announcement]:
    if decision.wanted == decision.previous:
        return []
    reason = "ScaledOut" if decision.wanted > decision.previous else "ScaledIn"
    return [Announcement(reason, "Scale", " ".join(explain(decision))[:NOTE_MOST])]


def _pods(decision: Decision, names: Mapping[str, str]) -> list[Announcement]:
    did, found = decision.actions, []
    if did.start and decision.wanted <= decision.previous:
        found.append(Announcement("Replacing", "Start", f"Starts {_count(len(did.start))}."))
    for uids, reason, action, verb in (
        (did.undrain, "TakingBack", "Undrain", "Takes back"),
        (did.drain, "Draining", "Drain", "Drains"),
        (did.hand_over, "HandingOver", "HandOver", "Moves the work of"),
        (did.delete, "Deleting", "Delete", "Deletes"),
    ):
        if uids:
            found.append(Announcement(reason, action, f"{verb} {_listed(uids, names)}."))
    return found


def _listed(uids: Sequence[str], names: Mapping[str, str]) -> str:
    few = ", ".join(names.get(uid, uid) for uid in uids[:_FEW])
    return few if len(uids) <= _FEW else f"{few} and {len(uids) - _FEW} more"


def _count(pods: int) -> str:
    return "1 pod" if pods == 1 else f"{pods} pods"
