"""Jobs, one rule a test; and a machine that tries every order of claims, lapses and endings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from odeon_room.domain import jobs
from odeon_room.domain.jobs import (
    FLUSH,
    Job,
    JobLost,
    JobOver,
    JobState,
    JobTaken,
    Outcome,
)
from odeon_runtime.errors import DomainError

NOW = datetime(2026, 5, 1, tzinfo=UTC)
OFFERED = Job(
    tenant="acme",
    id="job-1",
    event="launch",
    state=JobState.OFFERED,
    profile="default",
    create_time=NOW,
    offer_time=NOW,
)


def renew(job: Job, worker: str, claim: int) -> Job:
    return jobs.renewed(job, worker=worker, claim=claim, status="")


def finish(
    job: Job, worker: str, claim: int, outcome: Outcome, now: datetime = NOW, live: bool = True
) -> Job:
    return jobs.finished(job, worker=worker, claim=claim, outcome=outcome, now=now, live=live)


def test_one_worker_holds_a_job_and_claiming_it_again_is_no_second_claim() -> None:
    held = jobs.claimed(OFFERED, "w1", NOW)

    assert (held.state, held.worker, held.claim) == (JobState.CLAIMED, "w1", 1)
    assert jobs.claimed(held, "w1", NOW).claim == 1
    with pytest.raises(JobTaken):
        jobs.claimed(held, "w2", NOW)


def test_a_lapsed_claim_that_nobody_took_comes_back_to_life() -> None:
    lapsed = jobs.lapsed(jobs.claimed(OFFERED, "w1", NOW))

    back = renew(lapsed, "w1", 1)

    assert (back.state, back.worker, back.claim) == (JobState.CLAIMED, "w1", 1)


def test_a_lapsed_claim_that_another_took_is_lost() -> None:
    taken = jobs.claimed(jobs.lapsed(jobs.claimed(OFFERED, "w1", NOW)), "w2", NOW)

    assert taken.claim == 2
    with pytest.raises(JobLost):
        renew(taken, "w1", 1)
    with pytest.raises(JobLost):
        finish(taken, "w1", 1, Outcome.DONE)
    with pytest.raises(JobLost):
        renew(taken, "w2", 1)


def test_a_released_job_is_offered_at_once_and_no_longer_the_workers() -> None:
    free = finish(jobs.claimed(OFFERED, "w1", NOW), "w1", 1, Outcome.RELEASED)

    assert free.state is JobState.OFFERED
    with pytest.raises(JobLost):
        renew(free, "w1", 1)
    assert jobs.claimed(free, "w2", NOW).claim == 2


def rests_of_a_failing_job(*, live: bool, times: int) -> tuple[Job, list[float]]:
    """The job after failing so often, or for good; and how long it rested after each."""
    job, now, rests = OFFERED, NOW, []
    for _ in range(times):
        job = jobs.claimed(job, "w1", now)
        job = finish(job, "w1", job.claim, Outcome.FAILED, now, live=live)
        if job.state in jobs.FINAL:
            break
        rests.append((job.offer_time - now).total_seconds())
        with pytest.raises(JobTaken):
            jobs.claimed(job, "w1", now)
        now = job.offer_time
    return job, rests


def test_a_failing_job_of_a_live_event_is_tried_for_as_long_as_the_event_lives() -> None:
    job, rests = rests_of_a_failing_job(live=True, times=1000)

    assert rests[:8] == [1, 2, 4, 8, 16, 30, 30, 30]
    assert set(rests[5:]) == {30}
    assert job.state is JobState.OFFERED


def test_a_failing_job_that_no_live_event_needs_stays_failed_after_the_fifth() -> None:
    job, rests = rests_of_a_failing_job(live=False, times=1000)

    assert rests == [1, 2, 4, 8]
    assert job.state is JobState.FAILED
    with pytest.raises(JobOver):
        jobs.claimed(job, "w1", NOW + timedelta(hours=1))


def test_a_healthy_minute_clears_the_failures_before_it_and_a_shorter_one_does_not() -> None:
    failed, _ = rests_of_a_failing_job(live=True, times=4)
    job = jobs.claimed(failed, "w1", failed.offer_time)

    for _ in range(jobs.HEALTHY_RENEWALS - 1):
        job = renew(job, "w1", job.claim)
    assert job.failures == 4

    job = renew(job, "w1", job.claim)
    assert job.failures == 0


def test_a_cancelled_jobs_worker_learns_of_it_and_delivers_what_it_has() -> None:
    cancelled = jobs.cancelled(jobs.claimed(OFFERED, "w1", NOW), NOW)

    assert renew(cancelled, "w1", 1).state is JobState.CANCELLED
    assert not jobs.flushed(cancelled, NOW, NOW + FLUSH - timedelta(seconds=1))
    delivered = finish(cancelled, "w1", 1, Outcome.DONE, NOW + timedelta(seconds=1))
    assert delivered.state is JobState.CANCELLED
    assert jobs.flushed(delivered, NOW, NOW + timedelta(seconds=1))


def test_nobody_waits_for_a_worker_that_never_was_or_never_answers() -> None:
    never = jobs.cancelled(OFFERED, NOW)
    silent = jobs.cancelled(jobs.claimed(OFFERED, "w1", NOW), NOW)

    assert jobs.flushed(never, NOW, NOW)
    assert jobs.flushed(silent, NOW, NOW + FLUSH)


def test_a_broken_watch_stream_shortens_the_lease() -> None:
    assert jobs.lease_s(suspected=True) < jobs.lease_s(suspected=False)


class Machine(RuleBasedStateMachine):
    """Two workers, any order of events: at most one claim is ever good."""

    def __init__(self) -> None:
        super().__init__()
        self.job = OFFERED
        self.now = NOW
        self.claims: dict[int, str] = {}
        self.was_final: JobState | None = None

    @rule(worker=st.sampled_from(["w1", "w2"]))
    def claim(self, worker: str) -> None:
        try:
            job = jobs.claimed(self.job, worker, self.now)
        except DomainError:
            return
        assert self.claims.setdefault(job.claim, worker) == worker, "a claim changed hands"
        self.job = job

    @rule(worker=st.sampled_from(["w1", "w2"]), claim=st.integers(0, 6))
    def renew(self, worker: str, claim: int) -> None:
        try:
            self.job = renew(self.job, worker, claim)
        except JobLost:
            return
        assert claim == max(self.claims) and self.claims[claim] == worker

    @rule(
        worker=st.sampled_from(["w1", "w2"]),
        claim=st.integers(0, 6),
        outcome=st.sampled_from(Outcome),
    )
    def finish(self, worker: str, claim: int, outcome: Outcome) -> None:
        try:
            self.job = finish(self.job, worker, claim, outcome, self.now)
        except JobLost:
            return
        assert claim == max(self.claims) and self.claims[claim] == worker

    @rule()
    def lapse(self) -> None:
        self.job = jobs.lapsed(self.job)

    @rule(seconds=st.integers(1, 10))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.claims)
    @rule()
    def end_event(self) -> None:
        self.job = jobs.cancelled(self.job, self.now)

    @invariant()
    def what_is_over_stays_over(self) -> None:
        if self.was_final is not None:
            assert self.job.state is self.was_final
        if self.job.state in jobs.FINAL:
            self.was_final = self.job.state

    @invariant()
    def who_holds_it_is_known(self) -> None:
        assert (self.job.state is not JobState.CLAIMED) or self.job.worker
        assert self.job == replace(self.job)


TestJobMachine = Machine.TestCase
