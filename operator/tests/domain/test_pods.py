from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import pods
from odeon_operator.domain.pods import Doubt, Pod, PodState, PodTransitionRefused
from odeon_operator.domain.reports import Report
from odeon_runtime.errors import InvalidArgument

T0 = datetime(2026, 5, 4, 12, tzinfo=UTC)
S = timedelta(seconds=1)
FRESH = 15 * S


def at(second: float) -> datetime:
    return T0 + second * S


def said(
    second: float, sessions: int = 0, reserved: int = 0, *, obeys: float | None = None
) -> Report:
    drain = None if obeys is None else at(obeys)
    slots = sessions + reserved
    return Report(at(second), sessions=sessions, reserved=reserved, slots=slots, obeys=drain)


def new() -> Pod:
    return Pod("p-0", "uid-0", 0, PodState.STARTING, T0, node="n1")


def drained(pod: Pod, second: float) -> Pod:
    return pods.drain_acked(pods.drain_asked(pod, at(second)), at(second + 1))


def test_a_pod_becomes_ready_by_its_first_reading_and_allocated_by_work() -> None:
    ready = pods.reported(new(), said(1))
    busy = pods.reported(ready, said(2, sessions=1))
    promised = pods.reported(ready, said(2, reserved=1))

    assert ready.state is PodState.READY
    assert busy.state is promised.state is PodState.ALLOCATED
    assert pods.reported(busy, said(3)).state is PodState.READY


def test_late_and_repeated_readings_change_nothing() -> None:
    busy = pods.reported(new(), said(5, sessions=1))

    assert pods.reported(busy, said(5)) == busy
    assert pods.reported(busy, said(4)) == busy


def test_a_drained_pod_goes_after_two_readings_of_zero_since_its_acknowledgement() -> None:
    pod = drained(pods.reported(new(), said(1, sessions=1)), 10)
    doubts = []
    for second, sessions in ((12, 1), (13, 0), (14, 0)):
        pod = pods.reported(pod, said(second, sessions=sessions, obeys=10))
        doubts.append(pods.why_keep(pod, now=at(second), stale_after=FRESH))

    assert doubts == [Doubt.BUSY, Doubt.BUSY, None]


def test_readings_that_were_on_their_way_before_the_drain_prove_nothing() -> None:
    pod = drained(new(), 0)
    doubts = []
    for reading in (said(2), said(3), said(4, obeys=0), said(5, obeys=0)):
        pod = pods.reported(pod, reading)
        doubts.append(pods.why_keep(pod, now=reading.at, stale_after=FRESH))

    assert doubts == [*[Doubt.TOO_FEW_READINGS] * 3, None]


def test_readings_that_obey_an_earlier_drain_prove_nothing_of_this_one() -> None:
    pod = drained(pods.undrained(drained(new(), 0)), 10)

    pod = pods.reported(pods.reported(pod, said(12, obeys=0)), said(13, obeys=0))

    assert pods.why_keep(pod, now=at(13), stale_after=FRESH) is Doubt.TOO_FEW_READINGS


def test_zeros_that_are_old_keep_the_pod() -> None:
    pod = pods.reported(pods.reported(drained(new(), 0), said(2, obeys=0)), said(3, obeys=0))

    assert pods.why_keep(pod, now=at(3) + FRESH, stale_after=FRESH) is None
    assert pods.why_keep(pod, now=at(3) + FRESH + S, stale_after=FRESH) is Doubt.STALE


def test_a_restarted_container_forgot_its_acknowledgement_but_still_drains() -> None:
    pod = pods.restarted(pods.reported(pods.reported(drained(new(), 0), said(2)), said(3)))
    pod = pods.reported(pods.reported(pod, said(4)), said(5))

    assert pod.state is PodState.DRAINING
    assert pods.why_keep(pod, now=at(5), stale_after=FRESH) is Doubt.NOT_ACKNOWLEDGED


def test_an_acknowledged_pod_can_be_taken_back() -> None:
    busy = drained(pods.reported(new(), said(1, sessions=2)), 5)

    back = pods.undrained(busy)

    assert (back.state, back.drain_asked, back.drain_acked) == (PodState.ALLOCATED, None, None)
    assert pods.undrained(drained(new(), 5)).state is PodState.STARTING


def test_a_pod_that_no_node_took_needs_no_acknowledgement() -> None:
    waiting = Pod("p-0", "uid-0", 0, PodState.STARTING, T0)

    assert pods.why_keep(waiting, now=T0, stale_after=FRESH) is None
    assert pods.why_keep(new(), now=T0, stale_after=FRESH) is Doubt.NOT_DRAINING


def test_steps_that_make_no_sense_are_refused() -> None:
    with pytest.raises(PodTransitionRefused):
        pods.drain_acked(new(), T0)
    with pytest.raises(PodTransitionRefused):
        pods.undrained(new())
    with pytest.raises(PodTransitionRefused):
        pods.drain_asked(pods.gone(new()), T0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_a_reading_that_cannot_be_is_refused(bad: float) -> None:
    with pytest.raises(InvalidArgument):
        Report(T0, slots=bad)


@given(st.lists(st.sampled_from(["zero", "busy", "ask", "ack", "undrain", "restart"]), max_size=30))
def test_whatever_happens_a_pod_goes_exactly_when_it_is_proven_empty(steps: list[str]) -> None:
    pod, draining, acked, zeros = new(), False, False, 0
    for second, step in enumerate(steps, start=1):
        allowed = {"ack": draining, "undrain": draining}.get(step, True)
        if not allowed:
            with pytest.raises(PodTransitionRefused):
                _taken(pod, step, second)
            continue
        pod = _taken(pod, step, second)
        zeros = zeros + acked if step == "zero" else zeros if step in ("ask", "ack") else 0
        draining = (draining or step == "ask") and step != "undrain"
        acked = (acked or step == "ack") and step not in ("undrain", "restart")

        keep = pods.why_keep(pod, now=at(second), stale_after=60 * S)
        assert (keep is None) == (draining and acked and zeros >= 2)


def _taken(pod: Pod, step: str, second: int) -> Pod:
    match step:
        case "zero":
            obeys = pod.drain_asked if pod.drain_acked is not None else None
            return pods.reported(pod, Report(at(second), obeys=obeys))
        case "busy":
            return pods.reported(pod, said(second, sessions=1))
        case "ask":
            return pods.drain_asked(pod, at(second))
        case "ack":
            return pods.drain_acked(pod, at(second))
        case "undrain":
            return pods.undrained(pod)
        case _:
            return pods.restarted(pod)


def test_a_pod_in_which_nothing_runs_goes_without_an_acknowledgement_once_it_drains() -> None:
    crashing = replace(new(), inert=True, healthy=False)
    drains = pods.drain_asked(crashing, at(1))
    speaks = pods.reported(drains, said(2))

    def doubt(pod: Pod, second: float) -> Doubt | None:
        return pods.why_keep(pod, now=at(second), stale_after=FRESH)

    assert doubt(crashing, 2) is Doubt.NOT_DRAINING
    assert doubt(drains, 2) is None
    assert doubt(speaks, 3) is Doubt.NOT_ACKNOWLEDGED
    assert doubt(speaks, 30) is None
