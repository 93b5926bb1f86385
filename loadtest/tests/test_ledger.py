from collections import Counter
from dataclasses import replace

import pytest
from odeon_loadtest.ledger import Fact, Job, Made, Tally, facts_tally, jobs_tally

RUNNING = Job("jobs/1", "demo", "STATE_CLAIMED", "transcoder-1", 1)


def test_a_job_that_goes_on_is_neither_lost_nor_doubled() -> None:
    assert jobs_tally([RUNNING], [RUNNING]) == Tally(0, 0)


@pytest.mark.parametrize(
    ("after", "tally"),
    [
        ([], Tally(1, 0)),
        ([replace(RUNNING, state="STATE_OFFERED")], Tally(1, 0)),
        ([replace(RUNNING, claim=2)], Tally(1, 0)),
        ([replace(RUNNING, worker="transcoder-2")], Tally(1, 0)),
        ([RUNNING, replace(RUNNING, name="jobs/2")], Tally(0, 1)),
    ],
    ids=["vanished", "offered again", "claimed again", "another worker", "two for one event"],
)
def test_a_job_that_does_not_go_on_as_it_was_is_noticed(after: list[Job], tally: Tally) -> None:
    assert jobs_tally([RUNNING], after) == tally


def test_facts_are_lost_when_never_told_and_doubled_when_told_again() -> None:
    once, twice, never = (Fact("ev", "event_state_changed", state) for state in "ABC")
    told = Counter([once, twice, twice, Fact("other", "segment_closed", "v360 1")])

    tally = facts_tally([once, twice, never], told)

    assert tally == Tally(lost=1, doubled=1, names=("ev event_state_changed C",))


def test_an_event_that_ran_tells_of_its_job_too() -> None:
    facts = Made(("quiet",), "live").facts()

    assert len(facts) == 5
    assert Fact("live", "job_state_changed", "CLAIMED") in facts
