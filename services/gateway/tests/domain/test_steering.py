from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from odeon_gateway.domain.steering import (
    BASE,
    STALE_AFTER_S,
    Clone,
    Edge,
    present_edges,
    steer,
)

ONE = Edge(id="edge-1", host="127.0.0.1", load=100)
TWO = Edge(id="edge-2", host="127.0.0.2", load=100)


def test_a_viewer_of_the_only_edge_stays() -> None:
    assert steer([ONE], via="127.0.0.1", pathway=BASE, draw=0.0).priority == (BASE,)


def test_other_edges_are_clones_of_the_one_the_playlist_came_from() -> None:
    decided = steer([ONE, TWO], via="127.0.0.1", pathway=BASE, draw=0.5)
    assert decided.priority == (BASE, "edge-2")
    assert decided.clones == (Clone("edge-2", "127.0.0.2"),)


def test_a_viewer_who_was_moved_stays_where_it_is() -> None:
    decided = steer([ONE, TWO], via="127.0.0.1", pathway="edge-2", draw=0.0)
    assert decided.priority == ("edge-2", BASE)


def test_everybody_leaves_an_edge_that_drains() -> None:
    draining = replace(ONE, draining=True)
    decided = steer([draining, TWO], via="127.0.0.1", pathway=BASE, draw=0.99)
    assert decided.priority == ("edge-2", BASE)


def test_an_edge_that_is_gone_is_left() -> None:
    decided = steer([ONE], via="127.0.0.1", pathway="edge-2", draw=0.99)
    assert decided.priority == (BASE,)


def test_some_leave_an_edge_that_carries_much_more_than_the_others() -> None:
    busy = replace(ONE, load=900)
    assert steer([busy, TWO], via="127.0.0.1", pathway=BASE, draw=0.0).priority[0] == "edge-2"
    assert steer([busy, TWO], via="127.0.0.1", pathway=BASE, draw=0.9).priority[0] == BASE


def test_a_small_difference_moves_nobody() -> None:
    busier = replace(ONE, load=110)
    assert steer([busier, TWO], via="127.0.0.1", pathway=BASE, draw=0.0).priority[0] == BASE


def test_a_few_viewers_are_not_shuffled() -> None:
    few, none = replace(ONE, load=10), replace(TWO, load=0)
    assert steer([few, none], via="127.0.0.1", pathway=BASE, draw=0.0).priority[0] == BASE


def test_when_all_drain_the_present_one_still_serves() -> None:
    both = [replace(ONE, draining=True), replace(TWO, draining=True)]
    assert set(steer(both, via="127.0.0.1", pathway=BASE, draw=0.0).priority) == {BASE, "edge-2"}


def test_a_host_that_is_a_name_for_all_edges_is_the_last_resort() -> None:
    decided = steer([ONE, TWO], via="live.example", pathway=BASE, draw=0.0)
    assert decided.priority[-1] == BASE
    assert {clone.host for clone in decided.clones} == {"127.0.0.1", "127.0.0.2"}


def test_an_edge_named_like_the_base_pathway_is_still_another_one() -> None:
    decided = steer([ONE, replace(TWO, id=BASE)], via=ONE.host, pathway=BASE, draw=0.5)
    assert len(set(decided.priority)) == 2


def test_without_any_edge_the_viewer_keeps_what_it_has() -> None:
    assert steer([], via="live.example", pathway=BASE, draw=0.0).priority == (BASE,)


def test_silent_edges_are_gone_unless_nobody_can_be_heard() -> None:
    edges = [replace(ONE, heard_s=0.0), replace(TWO, heard_s=10.0)]
    later = 10.0 + STALE_AFTER_S
    assert present_edges(edges, later, hearing=True) == [edges[1]]
    assert present_edges(edges, later, hearing=False) == edges


edges = st.lists(
    st.builds(
        Edge,
        id=st.sampled_from([f"e{n}" for n in range(6)]),
        host=st.just(""),
        load=st.integers(0, 5000),
        draining=st.booleans(),
    ),
    max_size=6,
    unique_by=lambda edge: edge.id,
).map(lambda many: [replace(edge, host=f"{edge.id}.example") for edge in many])
hosts = st.sampled_from(["e0.example", "e1.example", "live.example"])
pathways = st.sampled_from([BASE, "e0", "e1", "e2", "nonsense", ""])
draws = st.floats(0, 1, exclude_max=True)


@given(edges, hosts, pathways, draws)
def test_every_pathway_is_defined_and_named_once(
    present: list[Edge], via: str, pathway: str, draw: float
) -> None:
    decided = steer(present, via=via, pathway=pathway, draw=draw)
    assert len(set(decided.priority)) == len(decided.priority)
    assert set(decided.priority) == {BASE, *(clone.id for clone in decided.clones)}
    assert all(clone.host != via for clone in decided.clones)


@given(edges, hosts, pathways, draws)
def test_nobody_is_sent_to_an_edge_that_drains_while_another_does_not(
    present: list[Edge], via: str, pathway: str, draw: float
) -> None:
    first = steer(present, via=via, pathway=pathway, draw=draw).priority[0]
    chosen = [e for e in present if first == (BASE if e.host == via else e.id)]
    if any(not edge.draining for edge in present):
        assert chosen
        assert not chosen[0].draining


@given(st.integers(0, 4000), st.integers(0, 4000), st.integers(1, 6))
def test_rounds_of_steering_even_the_load_without_swinging(one: int, two: int, rounds: int) -> None:
    before = abs(one - two)
    for _ in range(rounds):
        pair = [replace(ONE, load=one), replace(TWO, load=two)]
        leave_one = _leaving(pair, BASE, one)
        leave_two = _leaving(pair, "edge-2", two)
        one, two = one - leave_one + leave_two, two - leave_two + leave_one
        assert abs(one - two) <= before + 2
        before = abs(one - two)


def _leaving(pair: list[Edge], pathway: str, viewers: int) -> int:
    """Viewers of a pathway who are sent elsewhere, their draws spread evenly."""
    if not viewers:
        return 0
    steps = 200
    gone = sum(
        steer(pair, via="127.0.0.1", pathway=pathway, draw=n / steps).priority[0] != pathway
        for n in range(steps)
    )
    return viewers * gone // steps
