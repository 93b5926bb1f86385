from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import selection
from odeon_operator.domain.pods import Pod, PodState
from odeon_operator.domain.reports import Report
from odeon_operator.domain.selection import Scheduling

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
STALE = 15 * S
ASKED = NOW - 60 * S

ages = st.one_of(st.none(), st.integers(0, 40))
states = st.sampled_from([s for s in PodState if s is not PodState.GONE])


@st.composite
def reports(draw: st.DrawFn) -> Report | None:
    age = draw(ages)
    if age is None:
        return None
    sessions, reserved = draw(st.integers(0, 2)), draw(st.integers(0, 1))
    slots = sessions + reserved
    obeys = draw(st.sampled_from([None, ASKED, ASKED]))
    at = NOW - age * S
    return Report(at, sessions=sessions, reserved=reserved, slots=slots, obeys=obeys)


@st.composite
def pools(draw: st.DrawFn) -> list[Pod]:
    found = []
    for index in range(draw(st.integers(0, 8))):
        report, earlier = draw(reports()), draw(reports())
        state = draw(states)
        found.append(
            Pod(
                f"p-{index}",
                f"u{index}",
                index,
                state,
                NOW - draw(st.integers(0, 900)) * S,
                node=draw(st.sampled_from(["", "n1", "n2"])),
                healthy=draw(st.booleans()),
                report=report,
                earlier=earlier,
                drain_asked=ASKED,
                drain_acked=draw(st.sampled_from([None, NOW - 30 * S])),
            )
        )
    return found


def drains(
    pods: list[Pod],
    count: int,
    *,
    hands_over: bool = False,
    scheduling: Scheduling = Scheduling.PACKED,
) -> tuple[str, ...]:
    return selection.to_drain(
        pods,
        count,
        scheduling=scheduling,
        version="",
        hands_over=hands_over,
        now=NOW,
        stale_after=STALE,
    )


def ready(index: int, node: str, *, created: int = 0, sessions: int = 0) -> Pod:
    state = PodState.ALLOCATED if sessions else PodState.READY
    report = Report(NOW, sessions=sessions)
    born = NOW - 600 * S + created * S
    return Pod(f"p-{index}", f"u{index}", index, state, born, node=node, report=report)


@given(pools(), st.integers(0, 9), st.booleans(), st.sampled_from(list(Scheduling)))
def test_no_pod_with_work_is_deleted_and_no_transcoder_with_work_is_drained(
    pods: list[Pod], count: int, hands_over: bool, scheduling: Scheduling
) -> None:
    drained = drains(pods, count, hands_over=hands_over, scheduling=scheduling)
    deleted = selection.to_delete(pods, kept=(), now=NOW, stale_after=STALE)

    by_uid = {p.uid: p for p in pods}
    assert len(drained) <= count
    for pod in (by_uid[uid] for uid in drained):
        assert pod.standing
        assert hands_over or (pod.state is not PodState.ALLOCATED and _sessions(pod) == 0)
    for pod in (by_uid[uid] for uid in deleted):
        assert pod.state is PodState.DRAINING
        assert _sessions(pod) == 0
        assert pod.drain_acked is not None or not pod.node


@given(pools(), st.integers(0, 9), st.booleans())
def test_a_serving_pod_that_is_not_heard_of_is_never_chosen(
    pods: list[Pod], count: int, hands_over: bool
) -> None:
    chosen = drains(pods, count, hands_over=hands_over)

    serving = (PodState.READY, PodState.ALLOCATED)
    silent = {
        p.uid
        for p in pods
        if p.state in serving and (p.report is None or NOW - p.report.at > STALE)
    }
    assert silent.isdisjoint(chosen)


def test_packed_empties_the_emptiest_node_and_distributed_the_newest_pod() -> None:
    pods = [
        ready(0, "full", created=9),
        ready(1, "full", sessions=3),
        ready(2, "empty"),
        ready(3, "empty", created=5),
    ]

    assert drains(pods, 2) == ("u3", "u2")
    assert drains(pods, 2, scheduling=Scheduling.DISTRIBUTED) == ("u0", "u3")


def test_pods_that_do_not_serve_go_first() -> None:
    starting = replace(ready(5, "n"), state=PodState.STARTING, report=None)
    waiting = replace(starting, uid="u6", node="")
    sick = replace(ready(7, "n"), healthy=False)
    old = replace(ready(8, "n"), version="old")

    order = drains([ready(0, "n"), old, starting, waiting, sick], 5)

    assert order == ("u7", "u8", "u6", "u5", "u0")


def test_an_edge_pool_asks_the_emptiest_edges() -> None:
    pods = [ready(0, "a", sessions=90), ready(1, "b", sessions=5), ready(2, "c", sessions=40)]

    assert drains(pods, 2, hands_over=True) == ("u1", "u2")
    assert drains(pods, 2) == ()


def test_the_pods_with_most_work_are_taken_back_first() -> None:
    def draining(index: int, sessions: int, **fields: object) -> Pod:
        pod = ready(index, "n", sessions=sessions)
        return replace(pod, state=PodState.DRAINING, **fields)  # type: ignore[arg-type]

    pods = [
        draining(0, 0),
        draining(1, 4),
        draining(2, 9, version="old"),
        draining(3, 9, healthy=False),
    ]

    assert selection.to_undrain(pods, 9, version="") == ("u1", "u0")
    assert selection.to_undrain(pods, 1, version="") == ("u1",)


def test_new_pods_take_the_lowest_free_names() -> None:
    pods = [ready(0, "n"), replace(ready(2, "n"), state=PodState.DRAINING)]

    assert selection.to_start(pods, 3) == (1, 3, 4)


def _sessions(pod: Pod) -> int:
    return pod.report.sessions + pod.report.reserved if pod.report else 0
