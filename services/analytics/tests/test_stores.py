"""One suite over every store: SQLite, chDB, and ClickHouse by URL."""

from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from odeon_analytics.adapters.clickhouse import ChDb, ClickHouseServer, ClickHouseStore
from odeon_analytics.adapters.sqlite import SqliteStore
from odeon_analytics.domain.audience import SESSION_WINDOW_US
from odeon_analytics.domain.beacons import Beacon, Kind
from odeon_analytics.domain.egress import Counter
from odeon_analytics.ports import Fact, Store
from odeon_testkit.clickhouse import clickhouse_server

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


@pytest.fixture(params=["sqlite", "chdb", "clickhouse"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    with ExitStack() as stack:
        made: Store
        match request.param:
            case "sqlite":
                made = SqliteStore(tmp_path / "analytics.db")
            case "chdb":
                made = ClickHouseStore(ChDb(tmp_path / "chdb"))
            case _:
                made = ClickHouseStore(ClickHouseServer(stack.enter_context(clickhouse_server())))
        async with made as opened:
            yield opened


def beacon(session: str, sequence: int, kind: Kind, at_s: float = 0, **more: int | str) -> Beacon:
    return Beacon(
        tenant="acme",
        event="gala",
        session=session,
        sequence=sequence,
        at_us=START + round(at_s * SECOND),
        kind=kind,
        **more,  # type: ignore[arg-type]
    )


async def test_an_event_that_nobody_watched_adds_up_to_nothing(store: Store) -> None:
    sessions = await store.sessions("acme", "gala", now_us=START)

    assert (sessions.seen, sessions.peak, sessions.startup_p50_ms) == (0, 0, None)
    assert await store.egress_bytes("acme", "gala") == 0
    assert await store.peak("acme", "gala") == 0


async def test_a_beacon_that_comes_again_has_one_effect(store: Store) -> None:
    told = beacon("s1", 2, Kind.HEARTBEAT, 10, watched_ms=10_000, stalled_ms=500)

    await store.add_beacons([told, told])
    await store.add_beacons([told])

    sessions = await store.sessions("acme", "gala", now_us=START + 11 * SECOND)
    assert (sessions.seen, sessions.watched_ms, sessions.stalled_ms) == (1, 10_000, 500)


async def test_beacons_may_come_in_any_order(store: Store) -> None:
    await store.add_beacons([beacon("s1", 3, Kind.ENDED, 20, watched_ms=5_000)])
    await store.add_beacons([beacon("s1", 2, Kind.FIRST_FRAME, 1, startup_ms=900)])
    await store.add_beacons([beacon("s1", 1, Kind.START_REQUESTED, 0)])

    sessions = await store.sessions("acme", "gala", now_us=START + 21 * SECOND)
    assert (sessions.starts, sessions.startup_p50_ms, sessions.hls_now) == (1, 900, 0)
    assert (sessions.peak, sessions.exits_before_start) == (1, 0)


async def test_open_sessions_are_those_that_neither_ended_nor_fell_silent(store: Store) -> None:
    await store.add_beacons(
        [
            beacon("open", 1, Kind.HEARTBEAT, 100),
            beacon("ended", 1, Kind.HEARTBEAT, 90),
            beacon("ended", 2, Kind.ENDED, 100),
            beacon("silent", 1, Kind.HEARTBEAT, 60),
            beacon("webrtc", 1, Kind.HEARTBEAT, 100, protocol="whep"),
        ]
    )

    sessions = await store.sessions("acme", "gala", now_us=START + 101 * SECOND)

    assert (sessions.hls_now, sessions.other_now, sessions.seen) == (1, 1, 4)


async def test_the_peak_is_the_most_that_were_open_at_once(store: Store) -> None:
    window = SESSION_WINDOW_US / SECOND
    await store.add_beacons(
        [
            beacon("a", 1, Kind.START_REQUESTED, 0),
            beacon("a", 2, Kind.ENDED, 10),
            beacon("b", 1, Kind.START_REQUESTED, 5),
            beacon("b", 2, Kind.ENDED, 15),
            beacon("c", 1, Kind.START_REQUESTED, 10),
            beacon("c", 2, Kind.ENDED, 12),
            beacon("d", 1, Kind.START_REQUESTED, 16 + window),
        ]
    )

    sessions = await store.sessions("acme", "gala", now_us=START + 100 * SECOND)

    assert sessions.peak == 2


async def test_who_goes_before_the_first_frame_is_an_exit_before_start(store: Store) -> None:
    await store.add_beacons(
        [
            beacon("gone", 1, Kind.START_REQUESTED, 0),
            beacon("gone", 2, Kind.ENDED, 3),
            beacon("silent", 1, Kind.START_REQUESTED, 0),
            beacon("saw", 1, Kind.START_REQUESTED, 0),
            beacon("saw", 2, Kind.FIRST_FRAME, 1, startup_ms=700),
            beacon("waits", 1, Kind.START_REQUESTED, 58),
        ]
    )

    sessions = await store.sessions("acme", "gala", now_us=START + 60 * SECOND)

    assert (sessions.starts, sessions.exits_before_start) == (4, 2)


async def test_startup_percentiles_are_nearest_ranks(store: Store) -> None:
    await store.add_beacons(
        [beacon(f"s{n}", 1, Kind.FIRST_FRAME, startup_ms=n * 10) for n in range(1, 101)]
    )

    sessions = await store.sessions("acme", "gala", now_us=START)

    assert (sessions.startup_p50_ms, sessions.startup_p95_ms) == (500, 950)


async def test_tenants_and_events_never_mix(store: Store) -> None:
    mine = beacon("s1", 1, Kind.ERROR, error="MEDIA_ERR")
    await store.add_beacons([mine])

    assert (await store.sessions("other", "gala", now_us=START)).seen == 0
    assert (await store.sessions("acme", "party", now_us=START)).seen == 0
    assert (await store.sessions("acme", "gala", now_us=START)).errors == 1


async def test_egress_adds_up_over_edges_and_their_restarts(store: Store) -> None:
    def counter(edge: str, run: int, total: int) -> Counter:
        return Counter(
            edge=edge, tenant="acme", event="gala", run=run, bytes_total=total, at_us=total
        )

    await store.put_counters([counter("e1", 0, 100), counter("e2", 0, 50)])
    await store.put_counters([counter("e1", 0, 150), counter("e1", 1, 20)])

    assert await store.egress_bytes("acme", "gala") == 220
    newest = {c.edge: (c.run, c.bytes_total) for c in await store.counters()}
    assert newest == {"e1": (1, 20), "e2": (0, 50)}


async def test_the_greatest_audience_stays_noted(store: Store) -> None:
    for viewers in (3, 9, 4):
        await store.note_peak("acme", "gala", viewers)

    assert await store.peak("acme", "gala") == 9


async def test_facts_may_come_again(store: Store) -> None:
    fact = Fact(id="f1", tenant="acme", event="gala", kind="timeline_ended", at_us=1, body="{}")

    await store.add_facts([fact])
    await store.add_facts([fact, fact])


async def test_what_a_viewer_wrote_cannot_break_out_of_its_place(store: Store) -> None:
    nasty = "'); DROP TABLE beacons; -- \\' \n\"}"
    await store.add_beacons([beacon("s1", 1, Kind.ERROR, error=nasty, rendition=nasty)])

    assert (await store.sessions("acme", "gala", now_us=START)).errors == 1
    assert (await store.sessions(nasty, nasty, now_us=START)).seen == 0


async def test_a_restart_forgets_nothing(tmp_path: Path) -> None:
    async with SqliteStore(tmp_path / "a.db") as first:
        await first.add_beacons([beacon("s1", 1, Kind.HEARTBEAT, watched_ms=1000)])
    async with SqliteStore(tmp_path / "a.db") as second:
        assert (await second.sessions("acme", "gala", now_us=START)).watched_ms == 1000
