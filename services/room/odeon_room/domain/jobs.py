"""Jobs: OFFERED → CLAIMED → DONE, FAILED or CANCELLED. One worker at a time holds one.

Each claim has a number; who comes with an older one has lost the job. A claim that is not renewed
lapses and is offered again. Nobody measures a lease against a wall clock: room counts how long,
by its own monotonic clock, the claim's renewals have stood still (see `lapsed`).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from odeon_runtime.errors import DomainError, Kind, NotFound

LEASE_S = 2.0
"""A worker renews every half second. Short, because a killed worker's event must be on another
one within three seconds; harmless when it lapses by mistake, because the recorder grants a
timeline only after its owner fell silent."""
SUSPECT_LEASE_S = 1.0
"""When the worker's watch stream broke as well."""
REOFFER_S = 2.0
MOST_FAILURES = 5
"""In a row; then somebody must look, and a job that no live event needs stays failed."""
HEALTHY_RENEWALS = 120
"""Of one claim, half a second apart: after a minute of work, earlier failures no longer count."""
_FIRST_BACKOFF = timedelta(seconds=1)
_LONGEST_BACKOFF = timedelta(seconds=30)
"""What made a job fail (a bad driver, a full disk) may go away while the event still runs; an
audience that looks at a slate should not wait longer than this for it to be noticed."""
MOST_STATUS = 500
"""Characters of what a worker says for people."""
FLUSH = timedelta(seconds=5)
"""How long a cancelled job's worker may take to deliver its last parts."""


class JobState(StrEnum):
    """Where a job stands."""

    OFFERED = "OFFERED"
    CLAIMED = "CLAIMED"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Outcome(StrEnum):
    """How a worker gives a job back."""

    DONE = "DONE"
    FAILED = "FAILED"
    RELEASED = "RELEASED"


FINAL = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED})


class JobNotFound(NotFound):
    """No such job."""

    reason = "JOB_NOT_FOUND"


class JobTaken(DomainError):
    """Another worker holds it."""

    kind = Kind.PRECONDITION
    reason = "JOB_TAKEN"


class JobOver(DomainError):
    """It is done, failed or cancelled."""

    kind = Kind.PRECONDITION
    reason = "JOB_OVER"


class JobLost(DomainError):
    """The caller's claim is not the present one: stop working on it."""

    kind = Kind.ABORTED
    reason = "JOB_LOST"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A unit of transcoding work.

    Attributes:
        worker: who holds the claim; after a lapse, who held it.
        claim: counts claims.
        renewals: counts renewals of the present claim.
        failures: in a row.
        offer_time: not to be claimed before.
        finish_time: when its worker let go of it for good.
        status: what the worker last said, for people.
    """

    tenant: str
    id: str
    event: str
    state: JobState
    profile: str
    slots: int = 1
    worker: str = ""
    claim: int = 0
    renewals: int = 0
    failures: int = 0
    create_time: datetime
    offer_time: datetime
    finish_time: datetime | None = None
    status: str = ""


def claimed(job: Job, worker: str, now: datetime) -> Job:
    """The job in the hands of `worker`; claiming what one holds already changes nothing.

    Raises:
        JobTaken: another worker holds it, or it may not be claimed yet.
        JobOver: nothing is left to do.
    """
    if job.state in FINAL:
        raise JobOver("the job is over", state=job.state.value)
    if job.state is JobState.CLAIMED:
        if job.worker == worker:
            return replace(job, renewals=job.renewals + 1)
        raise JobTaken("another worker holds the job")
    if now < job.offer_time:
        wait = (job.offer_time - now).total_seconds()
        raise JobTaken("the job rests after a failure", retry_after_s=wait)
    return replace(job, state=JobState.CLAIMED, worker=worker, claim=job.claim + 1, renewals=0)


def renewed(job: Job, *, worker: str, claim: int, status: str) -> Job:
    """The job after its holder renewed the claim.

    A lapsed claim that nobody took comes back to life: the worker never stopped. A cancelled job
    comes back as it is, so that its worker learns of it. A claim that has held for a minute
    clears the failures before it.

    Raises:
        JobLost: the claim is another's, or was given back.
    """
    _require_holder(job, worker, claim)
    if job.state in FINAL:
        return job
    renewals = job.renewals + 1
    return replace(
        job,
        state=JobState.CLAIMED,
        renewals=renewals,
        failures=0 if renewals >= HEALTHY_RENEWALS else job.failures,
        status=status[:MOST_STATUS],
    )


def lapsed(job: Job) -> Job:
    """The job after its claim stood still for too long: offered again."""
    return replace(job, state=JobState.OFFERED) if job.state is JobState.CLAIMED else job


def finished(
    job: Job,
    *,
    worker: str,
    claim: int,
    outcome: Outcome,
    now: datetime,
    live: bool,
    detail: str = "",
) -> Job:
    """The job after its holder gave it back.

    A failed one is offered again after 1, 2, 4, 8, 16 and then every 30 s for as long as its
    event is `live`; otherwise it stays failed after five failures in a row.

    Raises:
        JobLost: the claim is another's.
    """
    _require_holder(job, worker, claim)
    job = replace(job, status=detail[:MOST_STATUS] or job.status)
    if job.state in FINAL:
        return replace(job, finish_time=job.finish_time or now)
    if outcome is Outcome.DONE:
        return replace(job, state=JobState.DONE, finish_time=now)
    if outcome is Outcome.RELEASED:
        return replace(job, state=JobState.OFFERED, worker="", failures=0, offer_time=now)
    failures = job.failures + 1
    if failures >= MOST_FAILURES and not live:
        return replace(job, state=JobState.FAILED, failures=failures, finish_time=now)
    return replace(
        job,
        state=JobState.OFFERED,
        worker="",
        failures=failures,
        offer_time=now + _rest(failures),
    )


def cancelled(job: Job, now: datetime) -> Job:
    """The job after its event ended; its worker, if any, still delivers what it has."""
    if job.state in FINAL:
        return job
    held = job.state is JobState.CLAIMED
    return replace(job, state=JobState.CANCELLED, finish_time=None if held else now)


def flushed(job: Job, cancel_time: datetime, now: datetime) -> bool:
    """Whether nothing more comes from the job's worker."""
    return job.finish_time is not None or now >= cancel_time + FLUSH


def lease_s(*, suspected: bool) -> float:
    """How long a claim may stand still, in seconds."""
    return SUSPECT_LEASE_S if suspected else LEASE_S


def _rest(failures: int) -> timedelta:
    doublings = min(failures - 1, 10)  # far beyond the longest; the number stays small
    return min(_LONGEST_BACKOFF, _FIRST_BACKOFF * (1 << doublings))


def _require_holder(job: Job, worker: str, claim: int) -> None:
    if job.worker != worker or job.claim != claim or not worker:
        raise JobLost("this claim is not the present one", claim=str(job.claim))
