from datetime import UTC, datetime, timedelta

from odeon_operator.domain.cold_start import UNLEARNED
from odeon_operator.domain.learning import PENDING_TOO_LONG, Learned, learn, resumed
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.starts import FIRST_WAIT

T0 = datetime(2026, 5, 4, tzinfo=UTC)
S = timedelta(seconds=1)


def pod(uid: str, state: PodState, *, node: str = "n", healthy: bool = True) -> Pod:
    return Pod(uid, uid, 0, state, T0, node=node, healthy=healthy)


def test_a_cold_start_is_learned_only_of_a_pod_that_was_seen_before_it_served() -> None:
    seen = learn(Learned(), [pod("a", PodState.STARTING)], [], T0)

    learned = learn(
        seen, [pod("a", PodState.READY), pod("found", PodState.ALLOCATED)], [], T0 + 40 * S
    )

    assert learned.cold_starts.samples == (40.0,)


def test_each_trouble_counts_once_and_a_pod_that_serves_ends_the_patience() -> None:
    crashing = pod("a", PodState.STARTING, healthy=False)
    once = learn(Learned(), [crashing], [], T0)
    again = learn(once, [crashing], [], T0 + S)
    other = learn(again, [crashing], ["b"], T0 + 2 * S)
    served = learn(
        learn(other, [pod("c", PodState.STARTING)], [], T0 + 3 * S),
        [pod("c", PodState.READY)],
        [],
        T0 + 4 * S,
    )

    waits = [x.backoff.failures for x in (once, again, other, served)]
    assert waits == [1, 1, 2, 0]
    assert once.backoff.until == T0 + FIRST_WAIT


def test_a_pod_that_no_node_takes_is_a_trouble_after_a_minute() -> None:
    waiting = pod("a", PodState.STARTING, node="")

    early = learn(Learned(), [waiting], [], T0 + PENDING_TOO_LONG)
    late = learn(Learned(), [waiting], [], T0 + PENDING_TOO_LONG + S)

    assert [early.backoff.failures, late.backoff.failures] == [0, 1]


def test_what_the_operator_before_had_learned_goes_on() -> None:
    assert resumed(40, 200).quantile(95) == 40 * S
    assert resumed(40, 2).quantile(95) == UNLEARNED
    assert resumed(180, 0).samples == ()


def test_failures_of_one_template_say_nothing_of_the_next() -> None:
    crashing = pod("a", PodState.STARTING, healthy=False)
    bad = learn(Learned(), [crashing], [], T0)

    corrected = learn(bad, [crashing], [], T0 + S, "corrected")

    assert bad.backoff.failures == 1
    assert corrected.backoff.failures == 0
