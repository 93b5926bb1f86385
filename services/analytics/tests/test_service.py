"""Beacons and facts in, figures out, over real gRPC and NATS."""

import asyncio
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from odeon.analytics.v1 import analytics_pb2 as pb
from odeon.events.v1 import events_pb2
from odeon_analytics.adapters.sqlite import SqliteStore
from odeon_analytics.domain.beacons import Beacon, Kind
from odeon_analytics.edges import EdgeBook
from odeon_analytics.intake import to_fact
from odeon_runtime import subjects
from odeon_runtime.bus import envelope
from odeon_runtime.status import error_info
from odeon_testkit.wait import until

from .conftest import Analytics


def beacon(sequence: int, kind: "pb.Beacon.Kind.ValueType", **more: object) -> pb.Beacon:
    return pb.Beacon(sequence=sequence, kind=kind, **more)  # type: ignore[arg-type]


def seconds(value: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(value * 1000))
    return duration


async def test_what_players_tell_adds_up_to_figures(service: Analytics) -> None:
    for n in range(3):
        await service.send(
            f"s{n}",
            beacon(1, pb.Beacon.KIND_START_REQUESTED),
            beacon(2, pb.Beacon.KIND_FIRST_FRAME, startup=seconds(0.4 + n / 10)),
            beacon(3, pb.Beacon.KIND_HEARTBEAT, watched=seconds(9), stalled=seconds(1)),
        )

    stats = await service.stats()

    assert (stats.concurrent_viewers, stats.unique_viewers) == (3, 3)
    assert stats.peak_concurrent_viewers == 3
    assert stats.watch_time.ToMilliseconds() == 27_000
    assert stats.startup_time_p50.ToMilliseconds() == 500
    assert stats.rebuffer_ratio == pytest.approx(0.1)
    assert stats.exit_before_start_ratio == 0


async def test_a_batch_sent_again_changes_nothing(service: Analytics) -> None:
    told = beacon(1, pb.Beacon.KIND_HEARTBEAT, watched=seconds(5))
    for _ in range(3):
        await service.send("s1", told, event="again")

    assert (await service.stats("again")).watch_time.ToMilliseconds() == 5_000


async def test_many_players_at_once_are_counted_exactly(service: Analytics) -> None:
    async def play(n: int) -> None:
        await service.send(f"v{n}", beacon(1, pb.Beacon.KIND_START_REQUESTED), event="crowd")
        await service.send(
            f"v{n}", beacon(2, pb.Beacon.KIND_HEARTBEAT, watched=seconds(1)), event="crowd"
        )

    await asyncio.gather(*(play(n) for n in range(300)))

    stats = await service.stats("crowd")
    assert (stats.unique_viewers, stats.concurrent_viewers) == (300, 300)
    assert stats.watch_time.ToMilliseconds() == 300_000


async def test_watchers_hear_of_changes(service: Analytics) -> None:
    request = pb.WatchEventStatsRequest(event="events/show")
    call = service.stub.WatchEventStats(request, metadata=service.owner(), timeout=30)
    heard = aiter(call)
    first = await anext(heard)

    await service.send("s1", beacon(1, pb.Beacon.KIND_START_REQUESTED), event="show")
    second = await anext(heard)
    call.cancel()

    assert first.stats.concurrent_viewers == 0
    assert second.stats.concurrent_viewers == 1


async def test_a_viewer_tells_only_about_its_own_event(service: Analytics) -> None:
    request = pb.SendBeaconsRequest(
        event="events/other", beacons=[beacon(1, pb.Beacon.KIND_HEARTBEAT)]
    )
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.stub.SendBeacons(request, metadata=service.viewer("s1"), timeout=20)

    assert refusal.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_viewer_may_not_see_figures(service: Analytics) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.stub.GetEventStats(
            pb.GetEventStatsRequest(event="events/gala"), metadata=service.viewer("s1"), timeout=20
        )

    assert refusal.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_another_tenant_sees_nothing(service: Analytics) -> None:
    await service.send("s1", beacon(1, pb.Beacon.KIND_HEARTBEAT), event="mine")

    assert (await service.stats("mine", tenant="other")).unique_viewers == 0
    assert (await service.stats("mine")).unique_viewers == 1


@pytest.mark.parametrize(
    "bad",
    [
        beacon(1, pb.Beacon.KIND_UNSPECIFIED),
        beacon(-1, pb.Beacon.KIND_HEARTBEAT),
        beacon(1, pb.Beacon.KIND_HEARTBEAT, watched=seconds(1e6)),
        beacon(1, pb.Beacon.KIND_HEARTBEAT, stalled=seconds(-1)),
        beacon(1, pb.Beacon.KIND_HEARTBEAT, protocol="carrier-pigeon"),
        beacon(1, pb.Beacon.KIND_ERROR, error="x" * 201),
    ],
)
async def test_a_beacon_that_no_player_would_send_is_refused(
    service: Analytics, bad: pb.Beacon
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await service.send("s1", bad)

    info = error_info(refusal.value)
    assert info is not None
    assert (info.reason, info.domain) == ("INVALID_ARGUMENT", "analytics.odeon.live")


def load(event: str, viewers: int, total: int = 0) -> events_pb2.EdgeEventLoad:
    return events_pb2.EdgeEventLoad(
        tenant_id="acme", event_id=event, viewers=viewers, egress_bytes_total=total
    )


def report(service: Analytics, edge: str, *loads: events_pb2.EdgeEventLoad) -> None:
    fact = envelope(
        "system", edge_load_reported=events_pb2.EdgeLoadReported(edge=edge, events=loads)
    )
    service.bus.publish(subjects.load("edge.load.reported", edge), fact, durable=False)


async def told(
    service: Analytics, edge: str, one: events_pb2.EdgeEventLoad, *, expect: tuple[int, int]
) -> None:
    """Report until it is heard, as edges do; no report is kept for who was away."""

    async def counted() -> bool:
        report(service, edge, one)
        stats = await service.stats(one.event_id)
        return (stats.concurrent_viewers, stats.egress_bytes) == expect

    await until(counted, timeout_s=20)


async def test_edges_tell_of_viewers_without_beacons_and_of_egress(service: Analytics) -> None:
    await told(service, "e1", load("edges", 4, 1000), expect=(4, 1000))
    await told(service, "e2", load("edges", 3, 500), expect=(7, 1500))
    await told(service, "e1", load("edges", 5, 200), expect=(8, 1700))


async def test_a_peak_is_known_though_nobody_asked_while_it_was_there(service: Analytics) -> None:
    async def outbox_is_empty() -> bool:
        return service.bus.waiting == 0

    await told(service, "e1", load("marker", 1), expect=(1, 0))
    for edge, viewers in (("e1", 60), ("e2", 40), ("e1", 0), ("e2", 0)):
        report(service, edge, load("past", viewers))
        # Of reports that wait to be sent only the newest is: let each go before the next.
        await until(outbox_is_empty)
    # Reports come in order: when this one is heard, the others were.
    await told(service, "e1", load("marker", 2), expect=(2, 0))

    stats = await service.stats("past")

    assert (stats.concurrent_viewers, stats.peak_concurrent_viewers) == (0, 100)


async def test_a_noted_peak_outlives_the_process(tmp_path: Path) -> None:
    fact = envelope(
        "system",
        edge_load_reported=events_pb2.EdgeLoadReported(edge="e1", events=[load("past", 7)]),
    )
    async with SqliteStore(tmp_path / "a.db") as store:
        book = EdgeBook(store, silence_s=5)
        await book.heard("", fact)
        await book.flush()
    async with SqliteStore(tmp_path / "a.db") as store:
        assert await store.peak("acme", "past") == 7


async def test_facts_and_beacons_from_nats_are_kept_once(
    service: Analytics, tmp_path: Path
) -> None:
    told = Beacon(
        tenant="acme",
        event="late",
        session="s9",
        sequence=4,
        at_us=1_700_000_000_000_000,
        kind=Kind.HEARTBEAT,
        watched_ms=7_000,
    )
    changed = envelope(
        "acme",
        event_state_changed=events_pb2.EventStateChanged(event_id="late", state="LIVE"),
    )
    subject = subjects.fact("analytics.session.reported", "acme", "s9")
    for fact, to in (
        (to_fact(told), subject),
        (to_fact(told), subject),
        (changed, subjects.fact("room.event.changed", "acme", "late")),
    ):
        service.bus.publish(to, fact)
    await service.send("s9", beacon(4, pb.Beacon.KIND_HEARTBEAT, watched=seconds(7)), event="late")

    async def kept() -> bool:
        async with SqliteStore(tmp_path / "analytics" / "analytics.db") as store:
            rows = await store._run(
                lambda db: db.execute("SELECT kind FROM facts WHERE event = 'late'").fetchall()
            )
        return rows == [("event_state_changed",)]

    await until(kept, timeout_s=20)
    assert (await service.stats("late")).watch_time.ToMilliseconds() == 7_000
