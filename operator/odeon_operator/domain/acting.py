"""From a wanted number to what is done now: which pods start, come back, drain and are deleted.

One of three turns is taken: pods are missing, pods of an older template are to be replaced, or
there are too many. What is proven empty is deleted in each, and pods leave nodes that go away.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from math import ceil

from odeon_operator.domain import behavior as pace
from odeon_operator.domain import moving, selection
from odeon_operator.domain import rollout as update
from odeon_operator.domain.amounts import rounded_up
from odeon_operator.domain.decision import Inputs
from odeon_operator.domain.demand import Certainty, Load
from odeon_operator.domain.limits import Limit
from odeon_operator.domain.pods import PodState
from odeon_operator.domain.policy import Policy, Pool
from odeon_operator.domain.rollout import Frame, Rollout
from odeon_operator.domain.selection import Actions
from odeon_operator.domain.starts import Allowed, allowed

REPLACEMENTS = Fraction(1, 4)
"""Share of the wanted pods that may stand beside unhealthy ones as their replacements: a template
that always crashes must not fill the cluster. A quarter, the default surge of a Deployment."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What was decided of the number, and what it was decided from.

    Attributes:
        current: what was wanted before.
    """

    pool: Pool
    policy: Policy
    inputs: Inputs
    load: Load
    frame: Frame
    current: int

    @property
    def rollout(self) -> Rollout:
        """Where the update to the present template stands."""
        inputs = self.inputs
        backoff = inputs.room.backoff
        return update.survey(inputs.pods, self.pool.version, backoff=backoff, now=inputs.now)

    @property
    def wanted(self) -> int:
        """Pods that the pool should have."""
        return self.frame.wanted


@dataclass(frozen=True, slots=True)
class Acts:
    """What to do, what was short for it, and where the update stands."""

    actions: Actions = field(default_factory=Actions)
    short: tuple[Limit, ...] = ()
    rollout: Rollout = field(default_factory=Rollout)


def act(turn: Turn) -> Acts:
    """Say what is to be done now."""
    return replace(_moved(turn, _act(turn)), rollout=turn.rollout)


def _act(turn: Turn) -> Acts:
    policy, inputs = turn.policy, turn.inputs
    # A pod that has to leave its node is replaced before it goes.
    serving = sum(1 for p in inputs.pods if p.standing and p.healthy and p.notice is None)
    wanted = min(turn.wanted, turn.current) if policy.pause_out else turn.wanted
    missing = wanted - serving
    if missing > 0:
        return _outward(turn, missing)
    # A pool in which anything may not be done does not update: half of it is worse than none.
    if turn.rollout.under_way and not (policy.pause_in or policy.pause_out):
        return _onward(turn)
    return Acts(Actions(drain=_surplus(turn), delete=_empty(turn)))


def _outward(turn: Turn, missing: int) -> Acts:
    pods, wanted = turn.inputs.pods, turn.wanted
    # While the new template is distrusted, an old pod that drains is better than none.
    version = None if turn.rollout.halted else turn.pool.version
    back = selection.to_undrain(pods, missing, version=version)
    standing = sum(1 for p in pods if p.standing and p.notice is None)
    beside = wanted + max(1, ceil(wanted * REPLACEMENTS)) - standing
    still = missing - len(back)
    start = _startable(turn, min(still, max(0, beside - len(back))))
    by = start.by or "unhealthy pods"
    short = (Limit(turn.pool.name, by, still, start.pods),) if start.pods < still else ()
    indexes = selection.to_start(pods, start.pods)
    return Acts(Actions(indexes, back, _useless(turn), _empty(turn, kept=back)), short)


def _onward(turn: Turn) -> Acts:
    """Replace pods of an older template. Without knowing the load nothing more is begun."""
    pool, pods = turn.pool, turn.inputs.pods
    known = turn.load.certainty is Certainty.KNOWN
    if not known or turn.rollout.halted:
        return Acts(Actions(drain=_useless(turn), delete=_empty(turn)))
    waits = turn.inputs.room.backoff.waits(turn.inputs.now)
    moves = pool.hands_over or pool.update.hand_over
    more = update.surge(
        pods, pool.version, pool.update, turn.frame, hands_over=moves, now=turn.inputs.now
    )
    start = _startable(turn, 0 if waits else more)
    leaving = update.leaving(
        pods,
        pool.version,
        pool.update,
        turn.frame,
        turn.rollout,
        scheduling=pool.scheduling,
        now=turn.inputs.now,
        stale_after=turn.policy.stale_after,
    )
    leaving = leaving[: _drainable(turn, len(leaving))]
    actions = Actions(
        start=selection.to_start(pods, start.pods),
        drain=(*_useless(turn), *leaving),
        delete=_empty(turn),
    )
    return Acts(actions)


def _moved(turn: Turn, acts: Acts) -> Acts:
    """The same, and what has to be done because of nodes. That is no scale-in and is not paused."""
    pods, certainty = turn.inputs.pods, turn.load.certainty
    if certainty is Certainty.UNKNOWN or not any(p.notice is not None for p in pods):
        return acts
    more = moving.leaving(
        pods,
        turn.wanted,
        known=certainty is Certainty.KNOWN,
        now=turn.inputs.now,
        stale_after=turn.policy.stale_after,
    )
    over = () if turn.pool.hands_over else moving.handed_over(pods, turn.pool.targets[0].per_pod)
    gone = selection.to_delete(
        [p for p in pods if p.notice is not None],
        kept=(),
        now=turn.inputs.now,
        stale_after=turn.policy.stale_after,
    )
    did = acts.actions
    drain, delete = dict.fromkeys((*did.drain, *more)), dict.fromkeys((*did.delete, *gone))
    actions = replace(did, drain=tuple(drain), hand_over=over, delete=tuple(delete))
    return replace(acts, actions=actions)


def _surplus(turn: Turn) -> tuple[str, ...]:
    """Pods that are not wanted any more."""
    pods, pool = [p for p in turn.inputs.pods if p.notice is None], turn.pool
    surplus = sum(1 for p in pods if p.standing) - turn.wanted
    if turn.policy.pause_in or turn.load.certainty is not Certainty.KNOWN or surplus <= 0:
        return ()
    return selection.to_drain(
        pods,
        _drainable(turn, surplus),
        scheduling=pool.scheduling,
        version=pool.version,
        hands_over=pool.hands_over,
        now=turn.inputs.now,
        stale_after=turn.policy.stale_after,
    )


def _useless(turn: Turn) -> tuple[str, ...]:
    if turn.policy.pause_in:
        return ()
    return update.useless(turn.inputs.pods, turn.pool.version, turn.inputs.now)


def _empty(turn: Turn, kept: Sequence[str] = ()) -> tuple[str, ...]:
    if turn.policy.pause_in or turn.load.certainty is Certainty.UNKNOWN:
        return ()
    return selection.to_delete(
        turn.inputs.pods, kept=kept, now=turn.inputs.now, stale_after=turn.policy.stale_after
    )


def _drainable(turn: Turn, asked: int) -> int:
    pods = turn.inputs.pods
    draining = sum(1 for p in pods if p.state is PodState.DRAINING)
    standing = sum(1 for p in pods if p.standing)
    limit = pace.may_drain(turn.policy.behavior, standing, draining, turn.inputs.now)
    return asked if limit is None else min(asked, limit)


def _startable(turn: Turn, asked: int) -> Allowed:
    starting = [p for p in turn.inputs.pods if p.state is PodState.STARTING and p.healthy]
    surge = turn.policy.behavior.max_surge
    return allowed(
        asked,
        starting=len(starting),
        pending=sum(1 for p in starting if not p.node),
        max_surge=max(1, rounded_up(surge, turn.wanted)) if surge is not None else None,
        room=replace(turn.inputs.room, limited=turn.pool.gpus_per_pod > 0),
        now=turn.inputs.now,
    )
