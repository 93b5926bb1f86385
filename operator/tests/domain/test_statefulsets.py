"""One pod at a time, empty ones first, and never the one that nobody could stand in for."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain.reports import Report
from odeon_operator.domain.sight import DrainRecord, Heard, Readings
from odeon_operator.domain.statefulsets import Do, Member, StatefulSet, Step, Way, next_step

NOW = datetime(2026, 5, 4, 9, tzinfo=UTC)
STALE = timedelta(seconds=15)
OLD, NEW = "old", "new"


def readings(sessions: int = 0, obeys: datetime | None = None, *, age_s: float = 0) -> Readings:
    at = NOW - timedelta(seconds=age_s)
    earlier = Report(at - timedelta(seconds=2), sessions=sessions, obeys=obeys)
    return Readings(
        Heard(Report(at, sessions=sessions, obeys=obeys), run="r"), Heard(earlier, run="r")
    )


def member(ordinal: int, version: str = OLD, **changes: object) -> Member:
    made = Member(f"signaling-{ordinal}", ordinal, f"uid-{ordinal}", "1", version)
    return replace(made, **{"readings": readings(), **changes})  # type: ignore[arg-type]


def draining(ordinal: int, sessions: int = 0, *, acked: bool = True, ago_s: float = 10) -> Member:
    asked = NOW - timedelta(seconds=ago_s)
    said = readings(sessions, asked if acked else None)
    return member(ordinal, readings=said, drain=DrainRecord(asked), marked=True)


def of(*members: Member, **changes: object) -> StatefulSet:
    made = StatefulSet("live", "signaling", len(members), NEW, Way.DRAIN, members=members)
    return replace(made, **changes)  # type: ignore[arg-type]


def step(one: StatefulSet) -> Step:
    return next_step(one, now=NOW, stale_after=STALE)


def told(one: StatefulSet) -> tuple[Do, str]:
    found = step(one)
    return found.do, found.member.name if found.member is not None else ""


def test_a_set_whose_pods_are_all_new_is_left_alone() -> None:
    assert step(of(member(0, NEW), member(1, NEW))).do is Do.NOTHING


def test_the_highest_number_is_asked_first() -> None:
    assert told(of(member(0), member(1), member(2))) == (Do.ASK, "signaling-2")


def test_a_pod_that_obeys_and_twice_reported_nothing_is_deleted() -> None:
    assert told(of(member(0), draining(1))) == (Do.DELETE, "signaling-1")


def test_a_pod_with_a_live_event_is_kept_however_long_it_drains() -> None:
    assert step(of(member(0), draining(1, sessions=1, ago_s=86_400))).do is Do.NOTHING


def test_a_pod_that_does_not_obey_yet_or_is_not_labelled_yet_is_kept() -> None:
    assert step(of(member(0), draining(1, acked=False))).do is Do.NOTHING
    assert told(of(member(0), replace(draining(1), marked=False))) == (Do.ASK, "signaling-1")


def test_after_its_patience_a_pod_hands_over_what_it_has_if_another_one_serves() -> None:
    busy = draining(1, sessions=3, ago_s=600)
    patient = timedelta(minutes=9)

    assert told(of(member(0), busy, patience=patient)) == (Do.DELETE, "signaling-1")
    assert step(of(member(0, ready=False), busy, patience=patient)).do is Do.NOTHING


def test_nothing_goes_while_a_pod_is_missing_or_on_its_way() -> None:
    assert step(of(member(0), draining(1), replicas=3)).do is Do.NOTHING
    assert step(of(member(0), draining(1), member(2, leaving=True))).do is Do.NOTHING


def test_a_new_template_that_does_not_serve_stops_with_its_first_pod() -> None:
    silent = member(2, NEW, readings=Readings())

    assert told(of(member(0), member(1), member(2, NEW, ready=False))) == (
        Do.NOTHING,
        "signaling-2",
    )
    assert told(of(member(0), member(1), silent)) == (Do.NOTHING, "signaling-2")


def test_a_pod_in_which_nothing_runs_is_replaced_at_once() -> None:
    crashing = member(0, running=False, ready=False)
    assert told(of(crashing, member(1))) == (Do.DELETE, "signaling-0")


def test_a_pod_that_cannot_be_reached_is_not_taken_for_an_empty_one() -> None:
    silent = replace(draining(1), readings=readings(obeys=NOW - timedelta(seconds=10), age_s=16))
    assert step(of(member(0), silent)).do is Do.NOTHING


def test_a_template_that_is_taken_back_takes_back_the_drains() -> None:
    back = replace(draining(1), version=NEW)
    assert told(of(member(0, NEW), back)) == (Do.TAKE_BACK, "signaling-1")


def test_the_only_pod_is_waited_for_and_asked_nothing() -> None:
    assert told(of(member(0))) == (Do.DELETE, "signaling-0")
    assert step(of(member(0, readings=readings(1)))).do is Do.NOTHING
    assert step(of(member(0, readings=Readings()))).do is Do.NOTHING


def test_a_recorder_that_holds_a_live_event_is_waited_for() -> None:
    busy = member(1, readings=readings(1))

    assert step(of(member(0), busy, way=Way.WHEN_IDLE)).do is Do.NOTHING
    assert told(of(member(0), member(1), way=Way.WHEN_IDLE)) == (Do.DELETE, "signaling-1")


def test_nobody_is_asked_to_drain_while_no_other_pod_serves() -> None:
    assert step(of(member(0, readings=Readings()), member(1))).do is Do.NOTHING


@given(
    data=st.data(),
    replicas=st.integers(1, 4),
    way=st.sampled_from(Way),
)
def test_whatever_happens_no_event_is_cut_and_one_pod_is_away_at_most(
    data: st.DataObject, replicas: int, way: Way
) -> None:
    now, members = NOW, {n: member(n) for n in range(replicas)}
    live = dict.fromkeys(members, 0)
    for _ in range(80):
        now += timedelta(seconds=2)
        for ordinal, one in members.items():
            open_ = one.drain is None or way is Way.WHEN_IDLE
            change = data.draw(st.sampled_from((0, 0, 0, 1, -1)))
            live[ordinal] = max(0, live[ordinal] + (change if open_ or change < 0 else 0))
            obeys = one.drain.asked if one.drain is not None else None
            said = Heard(Report(now, sessions=live[ordinal], obeys=obeys), run=one.revision)
            members[ordinal] = replace(one, ready=True, readings=one.readings.then(said))
        made = StatefulSet("n", "s", replicas, NEW, way, members=tuple(members.values()))
        found = next_step(made, now=now, stale_after=STALE)
        if found.member is None:
            continue
        ordinal = found.member.ordinal
        if found.do is Do.DELETE:
            assert live[ordinal] == 0
            members[ordinal] = member(ordinal, NEW, ready=False, readings=Readings(), revision="2")
        elif found.do is Do.ASK:
            members[ordinal] = replace(members[ordinal], drain=DrainRecord(now), marked=True)
        assert sum(not m.ready for m in members.values()) <= 1
        assert replicas == 1 or sum(m.drain is None for m in members.values()) >= 1
