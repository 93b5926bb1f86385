from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from odeon_operator.domain import projecting
from odeon_operator.domain.projecting import (
    TTL,
    BookingFact,
    EventRef,
    EventSpec,
    Places,
    Projection,
    StandingEvent,
    name_of,
    project,
    spec_of,
)

START = datetime(2026, 5, 4, 14, tzinfo=UTC)
H = timedelta(hours=1)
NOW = START - 3 * H
HOME = Places("odeon")
GALA = EventRef("odeon", "acme.gala")
FACT = BookingFact("acme", "gala", START, START + H, viewers=90, expected=(("hd", 1),))


def standing(
    spec: EventSpec | None, ref: EventRef = GALA, *, projected: bool = True, ttl: timedelta = TTL
) -> StandingEvent:
    over = projecting.finished(end=START + H)
    if spec is not None:
        over = projecting.finished(end=spec.end, started=spec.started, ended=spec.ended)
    return StandingEvent(ref, f"uid-{ref.name}", "1", projected, spec, over, ttl)


def look(
    facts: list[BookingFact],
    there: list[StandingEvent],
    now: datetime = NOW,
    places: Places = HOME,
) -> Projection:
    return project(facts, there, places, now)


def test_a_booking_is_shown_and_a_change_of_it_too() -> None:
    assert look([FACT], []).make == {GALA: spec_of(FACT)}

    moved = replace(FACT, start=START + H, end=START + 2 * H)
    there = standing(spec_of(FACT))
    assert look([moved], [there]).change == [(there, spec_of(moved))]
    assert look([FACT], [there]) == Projection({}, [], [], [], [])


def test_that_nothing_is_told_of_a_booking_deletes_nothing() -> None:
    assert look([], [standing(spec_of(FACT))], START) == Projection({}, [], [], [], [])


def test_what_is_over_goes_after_its_time_and_does_not_come_back() -> None:
    over = replace(FACT, started=START, ended=START + H)
    there = standing(spec_of(over))
    later = START + H + TTL

    assert look([over], [there], later - timedelta(seconds=1)).delete == []
    assert look([over], [there], later).delete == [there]
    assert look([], [there], later).delete == [there]
    assert look([over], [], later) == Projection({}, [], [], [], [])


def test_an_object_that_missed_the_end_goes_by_what_its_booking_says() -> None:
    stale = standing(spec_of(replace(FACT, started=START)))
    over = replace(FACT, started=START, ended=START + H)

    assert look([], [stale], START + 9 * H).delete == []
    assert look([over], [stale], START + 9 * H).delete == [stale]


def test_a_booking_that_is_moved_from_the_past_lives_on() -> None:
    there = standing(spec_of(FACT))
    moved = replace(FACT, start=START + 24 * H, end=START + 25 * H)

    found = look([moved], [there], START + 5 * H)

    assert (found.change, found.delete) == ([(there, spec_of(moved))], [])


def test_what_somebody_made_by_hand_is_not_touched_but_its_time_to_live_holds() -> None:
    theirs = standing(None, projected=False, ttl=H)

    found = look([FACT], [theirs])
    assert (found.make, found.change, found.delete, found.taken) == ({}, [], [], [GALA])
    assert look([], [theirs], START + 2 * H).delete == [theirs]
    assert look([], [replace(theirs, ttl=None)], START + 99 * H).delete == []


def test_a_tenant_with_namespaces_has_its_bookings_in_the_first_that_is_looked_at() -> None:
    own = {"acme": ("acme-live", "acme-test")}

    assert Places("odeon", own).of("acme") == "acme-live"
    assert Places("odeon", own, watched="acme-test").of("acme") == "acme-test"
    assert Places("odeon", own, watched="odeon").of("acme") is None
    assert Places("odeon", own).of("other") == "odeon"


def test_a_booking_whose_tenant_gets_a_namespace_is_shown_there_and_no_longer_here() -> None:
    there = standing(spec_of(FACT))

    found = look([FACT], [there], places=Places("odeon", {"acme": ("acme-live",)}))

    assert found.make == {EventRef("acme-live", "acme.gala"): spec_of(FACT)}
    assert found.delete == [there]


def test_a_booking_is_left_to_whoever_looks_at_the_namespaces_of_its_tenant() -> None:
    there = standing(spec_of(FACT))
    elsewhere = Places("odeon", {"acme": ("acme-live",)}, watched="odeon")

    assert look([FACT], [], places=elsewhere).make == {}
    assert look([FACT], [there], places=elsewhere).delete == [there]


@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.sampled_from("uvw"), max_size=2)))
def test_what_is_shown_is_admitted_or_belongs_to_somebody_else(own: dict[str, list[str]]) -> None:
    for watched in ("", "u", "v"):
        places = Places(watched or "w", own, watched)
        for tenant in "abc":
            where = places.of(tenant)
            taken = any(where in theirs for t, theirs in own.items() if t != tenant)
            assert where is None or taken or places.admits(tenant, where)


def test_a_namespace_of_a_tenant_admits_nobody_else() -> None:
    places = Places("odeon", {"acme": ("acme-live",), "open": ()})

    assert places.admits("acme", "acme-live")
    assert not places.admits("acme", "odeon")
    assert not places.admits("other", "acme-live")
    assert places.admits("other", "odeon")
    assert places.admits("open", "odeon")


@given(*[st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True)] * 4)
def test_different_bookings_have_different_names(a: str, b: str, c: str, d: str) -> None:
    one, two = name_of(a, b), name_of(c, d)

    assert (a, b) == (c, d) or one is None or one != two
    if not a.endswith("-"):
        assert one is not None
        assert all(part[-1] != "-" and part[0] != "-" for part in one.split("."))


def test_a_booking_for_which_there_is_no_name_is_told_and_the_others_are_shown() -> None:
    found = look([replace(FACT, tenant="acme-"), FACT], [])

    assert (found.unnamed, list(found.make)) == ([("acme-", "gala")], [GALA])


def test_times_that_make_no_sense_are_no_reason_to_refuse_the_object() -> None:
    assert spec_of(replace(FACT, end=START - H)).end > START
