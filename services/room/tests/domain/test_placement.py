from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from odeon_room.domain import placement
from odeon_room.domain.placement import FAILURES_OUT, FRESH_S, Candidate, Node, NoNodeAvailable

NOW = datetime(2026, 5, 1, tzinfo=UTC)
PROBE_EVERY_S = 5.0
PROBE_GIVES_UP_S = 5.0


def node(name: str, **fields: object) -> Node:
    plain = Node(id=name, grpc_address=f"{name}:1", cpu_load=0.0, heartbeat_time=NOW)
    return replace(plain, **fields)  # type: ignore[arg-type]


def fresh(*nodes: Node, silent_s: float = 0.0, events: int = 0) -> list[Candidate]:
    return [Candidate(n, silent_s, events) for n in nodes]


def failed(target: Node, times: int) -> Node:
    for _ in range(times):
        target = placement.probed(target, ok=False, error="dtls: timeout", now=NOW)
    return target


def test_an_event_stays_where_it_is_even_when_another_node_is_idle() -> None:
    busy, idle = node("busy", cpu_load=0.95, sessions=900), node("idle")

    assert placement.choose(fresh(busy, idle), "busy").id == "busy"


def test_a_new_event_goes_to_the_least_loaded_node() -> None:
    assert placement.choose(fresh(node("a", cpu_load=0.7), node("b", cpu_load=0.2)), "").id == "b"


def test_an_unknown_load_is_neither_idle_nor_full() -> None:
    unknown = node("unknown", cpu_load=None)

    assert placement.choose(fresh(unknown, node("calm", cpu_load=0.2)), "").id == "calm"
    assert placement.choose(fresh(unknown, node("hot", cpu_load=0.9)), "").id == "unknown"


@given(st.floats())
def test_whatever_a_node_reports_as_load_somebody_is_chosen(load: float) -> None:
    reported = node("a", cpu_load=placement.load_from_wire(load))

    assert placement.choose(fresh(reported), "").id == "a"


def test_equal_loads_are_spread_by_events_and_then_by_sessions() -> None:
    one = Candidate(node("a", cpu_load=0.31), 0.0, events=3)
    two = Candidate(node("b", cpu_load=0.33), 0.0, events=1)

    assert placement.choose([one, two], "").id == "b"
    assert placement.choose(fresh(node("a", sessions=9), node("b", sessions=3)), "").id == "b"


def test_a_node_that_misses_its_heartbeats_is_out() -> None:
    (silent,) = fresh(node("a"), silent_s=FRESH_S + 0.1)
    (alive,) = fresh(node("b"), silent_s=FRESH_S)

    assert not silent.eligible and alive.eligible
    assert placement.choose([silent, alive], "a").id == "b"


def test_a_draining_node_takes_nothing_and_gives_its_events_away() -> None:
    assert placement.choose(fresh(node("a", draining=True), node("b")), "a").id == "b"


def test_a_cordoned_node_keeps_its_events_and_gets_no_others() -> None:
    nodes = fresh(node("a", cordoned=True), node("b", cpu_load=0.9))

    assert placement.choose(nodes, "a").id == "a"
    assert placement.choose(nodes, "").id == "b"
    assert not nodes[0].eligible


def test_without_an_eligible_node_the_refusal_says_when_to_try_again() -> None:
    for candidates in ([], fresh(node("a", draining=True))):
        with pytest.raises(NoNodeAvailable) as refusal:
            placement.choose(candidates, "a")
        assert refusal.value.retry_after_s


def test_one_lost_probe_moves_nobody_but_consecutive_ones_do() -> None:
    assert fresh(failed(node("a"), FAILURES_OUT - 1))[0].eligible
    assert not fresh(failed(node("a"), FAILURES_OUT))[0].eligible


def test_failures_count_only_in_a_row_and_one_pass_brings_a_node_back() -> None:
    wobbling = placement.probed(failed(node("a"), 1), ok=True, error="", now=NOW)
    assert fresh(failed(wobbling, FAILURES_OUT - 1))[0].eligible

    back = placement.probed(failed(node("a"), 9), ok=True, error="", now=NOW)
    assert fresh(back)[0].eligible and back.probe_error == ""


def test_a_node_that_accepts_joins_and_drops_media_is_out_within_thirty_seconds() -> None:
    """The fault comes right after a probe passed; each probe waits to its time limit."""
    elapsed, gray = 0.0, node("gray")

    while fresh(gray)[0].eligible:
        elapsed += PROBE_EVERY_S + PROBE_GIVES_UP_S
        gray = failed(gray, 1)

    assert elapsed <= 30.0


def test_a_heartbeat_does_not_wipe_out_what_the_prober_found() -> None:
    gray = failed(node("a"), FAILURES_OUT)
    beat = placement.reported(node("a", heartbeat_time=NOW + timedelta(seconds=2)), gray)

    assert not fresh(beat)[0].eligible and beat.heartbeat_time > NOW


def test_a_node_nobody_probed_yet_may_be_used() -> None:
    assert fresh(node("new"))[0].eligible


def test_while_room_itself_was_away_a_silence_moves_nobody_but_attracts_nobody_either() -> None:
    unheard = Candidate(node("a"), silent_s=600.0, heard_s=1.0)
    heard = Candidate(node("b"), silent_s=0.1, heard_s=1.0)

    assert placement.choose([unheard, heard], "a").id == "a"
    assert placement.choose([unheard, heard], "").id == "b"
    still_silent = replace(unheard, heard_s=FRESH_S + 0.1)
    assert placement.choose([still_silent, heard], "a").id == "b"
