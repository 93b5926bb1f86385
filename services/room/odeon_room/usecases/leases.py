"""How long claims have stood still."""

from collections.abc import Callable
from dataclasses import dataclass

from odeon_room.domain.jobs import Job


@dataclass(frozen=True, slots=True)
class _Sign:
    """The last sign of life of a claim. `here`: its worker gave it to this process."""

    claim: int
    renewals: int
    at: float
    here: bool


class Leases:
    """How long each claim has stood still, by this process's monotonic clock.

    After a start every claim gets a whole lease anew: a room service that was away says nothing
    about the workers.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seen: dict[str, _Sign] = {}

    def heard(self, job: Job) -> None:
        """A worker claimed or renewed just now, here."""
        self._seen[job.id] = _Sign(job.claim, job.renewals, self._monotonic(), here=True)

    def still_s(self, job: Job) -> float:
        """Seconds since the claim was last seen to change."""
        now = self._monotonic()
        sign = self._seen.get(job.id)
        # What was read before a renewal came in here says less than the renewal.
        if sign is None or (sign.claim, sign.renewals) < (job.claim, job.renewals):
            sign = self._seen[job.id] = _Sign(job.claim, job.renewals, now, here=False)
        return now - sign.at

    def is_heard_here(self, job: Job) -> bool:
        """Whether every sign of life of the claim comes here at once, and not only by a look."""
        sign = self._seen.get(job.id)
        return sign is not None and sign.here

    def keep_only(self, alive: set[str]) -> None:
        """Forget claims of other jobs."""
        for job_id in self._seen.keys() - alive:
            del self._seen[job_id]
