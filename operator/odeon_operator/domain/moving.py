"""Pods whose node goes away: a replacement starts, they drain, and their jobs go on elsewhere.

```
 notice ─► not counted any more: others start in its place ─► drained once one of those serves, or
 at once where the node goes soon ─► jobs are handed over when pods that stay have room for them
```
Edges need no hand-over: draining makes content steering move their viewers. A job is handed over
only when somebody can go on with it; until then it runs where it is, which is better than nowhere.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction
from math import floor

from odeon_operator.domain import selection
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.rollout import serves
from odeon_operator.domain.selection import Scheduling


def leaving(
    pods: Sequence[Pod],
    wanted: int,
    *,
    known: bool,
    now: datetime,
    stale_after: timedelta,
) -> tuple[str, ...]:
    """Pods to drain now because of their nodes.

    Args:
        pods: all of the pool.
        wanted: pods that should serve.
        known: whether the load is; without knowing it only those go whose node goes soon.
        now: the present.
        stale_after: readings older than this are unknown.
    """
    moving = [p for p in pods if p.standing and p.notice is not None]
    able = selection.to_drain(
        moving,
        len(moving),
        scheduling=Scheduling.PACKED,
        version="",
        hands_over=True,
        now=now,
        stale_after=stale_after,
    )
    by_uid = {p.uid: p for p in moving}
    soon = [uid for uid in able if (told := by_uid[uid].notice) is not None and told.soon]
    if not known:
        return tuple(soon)
    idle = [uid for uid in able if uid not in soon and not serves(by_uid[uid])]
    spare = sum(1 for p in pods if serves(p) and p.uid not in soon) - wanted
    serving = [uid for uid in able if uid not in soon and serves(by_uid[uid])]
    return (*soon, *idle, *serving[: max(0, spare)])


def handed_over(pods: Sequence[Pod], slots_per_pod: Fraction) -> tuple[str, ...]:
    """Draining pods that are to give their jobs to others now, because those have room.

    One wave after the other: what the last one took may be in nobody's report yet, so the next
    waits until the pods of the last are gone. Those that were told to and have not done so yet
    keep the room that they were given.
    """
    told = [p for p in pods if p.handing_over]
    if any(_sessions(p) == 0 for p in told):
        return ()
    free: list[Fraction] | None
    free = sorted((_free(p, slots_per_pod) for p in pods if _takes(p)), reverse=True)
    for pod in told:
        free = _placed(free, _sessions(pod), _slots(pod))
        if free is None:
            return ()
    chosen = []
    for pod in sorted((p for p in pods if _waits_to_move(p)), key=_sessions):
        left = _placed(free, _sessions(pod), _slots(pod))
        if left is not None:
            free = left
            chosen.append(pod.uid)
    return tuple(chosen)


def _placed(free: Sequence[Fraction], jobs: int, slots: Fraction) -> list[Fraction] | None:
    """What is left of the room when the jobs of a pod take theirs; None when they do not fit.

    How large each job is is not known here: they are taken for equal.
    """
    each, left = slots / jobs, []
    for room in free:
        taken = min(jobs, floor(room / each)) if each else jobs
        jobs -= taken
        left.append(room - taken * each)
    return left if jobs == 0 else None


def _waits_to_move(pod: Pod) -> bool:
    draining = pod.state is PodState.DRAINING and pod.drain_acked is not None
    return draining and pod.notice is not None and not pod.handing_over and _sessions(pod) > 0


def _takes(pod: Pod) -> bool:
    return serves(pod) and pod.notice is None


def _free(pod: Pod, slots_per_pod: Fraction) -> Fraction:
    return max(Fraction(0), slots_per_pod - _slots(pod))


def _slots(pod: Pod) -> Fraction:
    return Fraction(pod.report.slots) if pod.report is not None else Fraction(0)


def _sessions(pod: Pod) -> int:
    return pod.report.sessions if pod.report is not None else 0
