"""Which rungs rest when the machine cannot keep up, and when they come back."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OverloadLimits:
    """When to give up a rung and when to try again, all in seconds."""

    behind_s: float = 0.6
    """The programme is behind when a picture leaves the encoder this long after its time."""
    patience_s: float = 1.0
    """Behind for this long, and the top rung stops. With `settle_s` well under the promised 5 s."""
    settle_s: float = 2.0
    """After a rung stopped, the others get this long to catch up before the next one stops."""
    calm_s: float = 10.0
    """Calm for this long, and the last stopped rung starts again; doubles with every relapse."""
    max_calm_s: float = 160.0
    relapse_s: float = 30.0
    """A rung that must stop again this soon after it came back was a relapse."""
    spare_share: float = 0.4
    """Calm also means that the largest running rung uses at most this share of its time: the one
    above has about twice its pixels, and decoding and composing need the rest."""


@dataclass(slots=True)
class OverloadGuard:
    """Decides from measured lag how many of the top rungs rest; the lowest one always runs."""

    rungs: int
    limits: OverloadLimits = field(default_factory=OverloadLimits)
    resting: int = 0
    _behind_since: float | None = None
    _calm_since: float | None = None
    _changed_at: float = float("-inf")
    _resumed_at: float = float("-inf")
    _calm_needed_s: float = 0.0

    def observe(self, now_s: float, lag_s: float, busy_share: float) -> int:
        """Take a measurement and return how many of the top rungs should rest from now on.

        Args:
            now_s: Monotonic time.
            lag_s: How late the slowest running rung is.
            busy_share: Share of real time that the slowest running rung spends encoding, 0 to 1.
        """
        if lag_s > self.limits.behind_s:
            self._calm_since = None
            self._behind_since = now_s if self._behind_since is None else self._behind_since
            self._maybe_stop(now_s)
        else:
            self._behind_since = None
            if busy_share > self.limits.spare_share:
                self._calm_since = None
            elif self._calm_since is None:
                self._calm_since = now_s
            self._maybe_resume(now_s)
        return self.resting

    def _maybe_stop(self, now_s: float) -> None:
        assert self._behind_since is not None
        patient = now_s - self._behind_since < self.limits.patience_s
        settling = self.resting > 0 and now_s - self._changed_at < self.limits.settle_s
        if patient or settling or self.resting >= self.rungs - 1:
            return
        relapse = now_s - self._resumed_at < self.limits.relapse_s
        needed = self._calm_needed_s * 2 if relapse else self.limits.calm_s
        self._calm_needed_s = min(max(needed, self.limits.calm_s), self.limits.max_calm_s)
        self.resting += 1
        self._changed_at = now_s
        self._behind_since = now_s

    def _maybe_resume(self, now_s: float) -> None:
        if self.resting == 0 or self._calm_since is None:
            return
        if now_s - max(self._calm_since, self._changed_at) < self._calm_needed_s:
            return
        self.resting -= 1
        self._changed_at = self._resumed_at = now_s
        self._calm_since = None
