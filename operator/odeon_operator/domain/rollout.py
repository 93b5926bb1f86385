"""A new template: which pods of the older ones go, how many new ones come first, when it stops.

```
 start new pods, up to maxSurge beyond the wanted ──► they serve ──► as many old ones drain,
 idle ones first; those with work take no more, finish it and go ──► until all are of the new one
```
Old pods go only for new ones that serve, so a template whose pods crash takes none of them away.
Where no pod may stand beside the others (`maxSurge: 0`) or no node takes one, idle pods of the
older template make room: at most `maxUnavailableIdle`, and never what load and bookings need.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from odeon_operator.domain import selection
from odeon_operator.domain.amounts import Amount, Percent, rounded_down, rounded_up
from odeon_operator.domain.learning import PENDING_TOO_LONG
from odeon_operator.domain.nodes import Notice
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.selection import Scheduling
from odeon_operator.domain.starts import Backoff

TOO_LATE = timedelta(minutes=10)
"""A pod that has a node and does not serve after so long is stuck: a Deployment's deadline."""
LINGERING = timedelta(minutes=1)
"""An update waits so long for a pod that drains without work; then somebody has to look at it."""


OLDER = Notice("it has an older template")


@dataclass(frozen=True, slots=True)
class UpdateStrategy:
    """How pods of an older template are replaced. The quarters are those of a Deployment.

    Attributes:
        max_surge: pods beyond the wanted number that may stand meanwhile, also beyond the pool's
            `maxReplicas`; percentages are rounded up.
        max_unavailable_idle: pods without work that may be draining at once for the update;
            rounded down, but one at least.
        hand_over: work goes on in others instead of ending where it is.
    """

    max_surge: Amount = field(default_factory=lambda: Percent(25))
    max_unavailable_idle: Amount = field(default_factory=lambda: Percent(25))
    hand_over: bool = False

    def surge(self, wanted: int) -> int:
        """Pods that may stand beyond so many."""
        return rounded_up(self.max_surge, wanted)

    def idle(self, wanted: int) -> int:
        """Pods without work of so many that may drain at once."""
        return max(1, rounded_down(self.max_unavailable_idle, wanted))


@dataclass(frozen=True, slots=True)
class Rollout:
    """Where the update to the present template stands.

    Attributes:
        updated: pods of it that stand; `outdated`: pods of older ones that stand.
        finishing: pods of older ones that drain.
        failing: names of those of `updated` that crash.
        unplaced: those of `updated` that no node takes, for longer than that should last.
        stuck: those of `updated` that have a node and do not serve for long.
        failures: starts in a row that failed, of whatever template.
    """

    updated: int = 0
    outdated: int = 0
    finishing: int = 0
    failing: tuple[str, ...] = ()
    unplaced: int = 0
    stuck: tuple[str, ...] = ()
    failures: int = 0

    @property
    def under_way(self) -> bool:
        """Whether pods of an older template stand."""
        return self.outdated > 0

    @property
    def halted(self) -> bool:
        """Whether the new template is to be distrusted: most of its pods crash."""
        return self.under_way and len(self.failing) * 2 > self.updated


@dataclass(frozen=True, slots=True)
class Frame:
    """What an update must respect.

    Attributes:
        wanted: pods that should serve.
        asked: pods that the present load asks for, without what stabilisation still holds.
        promised: pods that load and bookings need without any buffer.
    """

    wanted: int
    asked: int
    promised: int


def survey(pods: Sequence[Pod], version: str, *, backoff: Backoff, now: datetime) -> Rollout:
    """Look where the update stands."""
    standing = [p for p in pods if p.standing]
    new = [p for p in standing if p.version == version]
    draining = [p for p in pods if p.state is PodState.DRAINING and p.version != version]
    return Rollout(
        updated=len(new),
        outdated=len(standing) - len(new),
        finishing=len(draining),
        failing=tuple(p.name for p in new if not p.healthy),
        unplaced=sum(1 for p in new if p.never_ran and now - p.created > PENDING_TOO_LONG),
        stuck=tuple(p.name for p in new if _stuck(p, now)),
        failures=backoff.failures,
    )


def moving_on(
    pods: Sequence[Pod], version: str, strategy: UpdateStrategy, *, current: int, most: int | None
) -> tuple[Pod, ...]:
    """The pods, of which those that hand over for the update have a notice, as if a node went away.

    So they are replaced, drained and relieved of their work as those are (`moving.py`): as many at
    once as may stand beside the others, idle ones first. None while the new template is distrusted.

    Args:
        pods: all of the pool.
        version: the present template.
        strategy: of the pool.
        current: pods that were wanted last.
        most: how many more may begin to drain; None is no limit.
    """
    old = [p for p in pods if p.version != version and p.notice is None]
    new = [p for p in pods if p.version == version and p.standing]
    distrusted = 2 * sum(1 for p in new if not p.healthy) > len(new)
    if not strategy.hand_over or distrusted:
        return tuple(pods)
    draining = [p.uid for p in old if p.state is PodState.DRAINING]
    waiting = sorted((p for p in old if serves(p)), key=lambda p: (_work(p), p.index))
    more = max(0, strategy.surge(current) - len(draining))
    chosen = {*draining, *(p.uid for p in waiting[: more if most is None else min(more, most)])}
    return tuple(replace(p, notice=OLDER) if p.uid in chosen else p for p in pods)


def surge(
    pods: Sequence[Pod],
    version: str,
    strategy: UpdateStrategy,
    frame: Frame,
    *,
    hands_over: bool,
    now: datetime,
) -> int:
    """Pods of the new template to start beyond the wanted number.

    What exists counts, what still drains too, or an update would buy a second cluster. Jobs that
    finish where they are need their pods beside those that the rest of the load asks for.
    """
    existing = [p for p in pods if p.state is not PodState.GONE and not _lingers(p, now)]
    finishing = 0 if hands_over else sum(1 for p in existing if _finishes(p))
    room = max(frame.wanted, frame.asked + finishing) + strategy.surge(frame.wanted)
    new = sum(1 for p in existing if p.standing and p.version == version)
    return max(0, min(room - len(existing), frame.wanted - new))


def leaving(
    pods: Sequence[Pod],
    version: str,
    strategy: UpdateStrategy,
    frame: Frame,
    rollout: Rollout,
    *,
    scheduling: Scheduling,
    now: datetime,
    stale_after: timedelta,
) -> tuple[str, ...]:
    """Pods of older templates to drain now: idle ones first, those with work when none is left.

    One with work takes no more and finishes what it has: else it would be given new work for as
    long as the pool has any, and the update would never end.
    """
    # Those that leave their nodes go by themselves, and are counted on no more.
    staying = [p for p in pods if serves(p) and p.notice is None]
    old = [p for p in staying if p.version != version]
    spare = len(staying) - frame.wanted
    chosen = selection.to_drain(
        old,
        len(old),
        scheduling=scheduling,
        version=version,
        hands_over=True,
        now=now,
        stale_after=stale_after,
    )
    by_uid = {p.uid: p for p in old}
    idle = [uid for uid in chosen if by_uid[uid].state is PodState.READY]
    if not idle:
        return chosen[: max(0, spare)]
    draining = sum(1 for p in pods if p.state is PodState.DRAINING and not _stays(p, now))
    budget = strategy.idle(frame.wanted) - draining
    room = spare + _dip(strategy, frame, rollout)
    most = len(staying) - frame.promised
    return tuple(idle[: max(0, min(room, budget, most))])


def useless(pods: Sequence[Pod], version: str, now: datetime) -> tuple[str, ...]:
    """Pods of older templates that take nothing away when they drain: they crash, or wait.

    One that only starts is nearly there and is replaced in its turn, unless it does so for long
    and the new template was seen to serve.
    """
    proven = any(serves(p) and p.version == version for p in pods)

    def lost(pod: Pod) -> bool:
        late = proven and now - pod.created > PENDING_TOO_LONG
        return not pod.healthy or pod.never_ran or late

    starting = (p for p in pods if p.state is PodState.STARTING and p.version != version)
    return tuple(p.uid for p in starting if p.report is None and lost(p))


def serves(pod: Pod) -> bool:
    """Whether it takes work now."""
    return pod.healthy and pod.state in (PodState.READY, PodState.ALLOCATED)


def _dip(strategy: UpdateStrategy, frame: Frame, rollout: Rollout) -> int:
    """Idle pods that may be missing meanwhile, because none can stand beside the others."""
    idle = strategy.idle(frame.wanted)
    return idle if strategy.surge(frame.wanted) == 0 else min(idle, rollout.unplaced)


def _stuck(pod: Pod, now: datetime) -> bool:
    starting = pod.healthy and bool(pod.node) and pod.state is PodState.STARTING
    return starting and now - pod.created > TOO_LATE


def _lingers(pod: Pod, now: datetime) -> bool:
    """It drains for long, though it has no work that is known of."""
    asked = pod.drain_asked
    draining = pod.state is PodState.DRAINING and not _finishes(pod)
    return draining and asked is not None and now - asked > LINGERING


def _stays(pod: Pod, now: datetime) -> bool:
    return _finishes(pod) or _lingers(pod, now)


def _work(pod: Pod) -> int:
    return pod.report.sessions + pod.report.reserved if pod.report is not None else 0


def _finishes(pod: Pod) -> bool:
    """It drains, and has work that it has to finish."""
    return pod.state is PodState.DRAINING and pod.report is not None and not pod.report.idle
