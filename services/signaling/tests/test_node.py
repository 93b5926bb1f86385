"""The node as a whole: heartbeat, dependencies that are away, drain, facts, spans."""

import asyncio
import socket
import time

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from odeon.events.v1 import events_pb2
from odeon.pools.v1.pools_pb2 import DrainRecord
from odeon.signaling.v1 import signaling_pb2, stage_pb2
from odeon_media import Client
from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.pools import Drains, Reports, StoredReport
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.telemetry import setup_tracing
from odeon_runtime.tokens import Audience
from odeon_signaling.domain.grants import EventKey, Grant
from odeon_signaling.members import Outbox
from odeon_signaling.reports import CpuMeter, ParticipantReports
from odeon_signaling.spans import unix_ns
from odeon_testkit.nats import nats_server
from odeon_testkit.otlp import otlp_receiver
from odeon_testkit.room import room_server

from .conftest import World, running, until

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def test_the_heartbeat_says_where_the_node_is_and_what_it_carries(world: World) -> None:
    await world.whip()

    node = await until(lambda: n if (n := world.room.nodes["nodes/n1"]).sessions == 1 else None)

    assert node.grpc_address == world.addresses["grpc"]
    assert list(node.media_addresses) == [world.addresses["media"]]
    assert 0 <= node.cpu_load <= 1
    assert not node.draining
    assert await until(lambda: world.room.active["nodes/n1"]) == ["acme/launch"]


async def test_hosts_join_while_room_is_away_and_guests_wait_for_its_word() -> None:
    async with running(room_address="127.0.0.1:1", alone=True) as world:
        host, guest = await world.join("ann"), await world.join("gil", "guest")
        assert (await host.expect("joined")).admitted
        assert not (await guest.expect("joined")).admitted


async def test_who_is_in_stays_in_when_room_and_auth_are_gone(world: World) -> None:
    ann, bob = await world.join("ann"), await world.join("bob")
    await ann.publish()
    await bob.frames()

    await world.outage.aclose()

    bob.subscriber.recv(0)
    assert await bob.frames()
    await bob.send(ping=stage_pb2.StagePing(id=1))
    assert (await bob.expect("pong")).id == 1


async def test_a_late_word_of_room_lets_the_guest_in() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with running(room_address=f"127.0.0.1:{port}", alone=True) as world:
        guest = await world.join("gil", "guest")
        assert not (await guest.expect("joined")).admitted
        async with room_server(world.issuer, port=port):
            update = await guest.expect("participant_updated", lambda p: p.identity == "gil")
            assert update.admitted


async def test_a_late_word_of_room_mutes_whom_a_host_had_muted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    async with running(room_address=f"127.0.0.1:{port}", alone=True) as world:
        ann = await world.join("ann", "moderator")
        await ann.publish()
        track = await ann.expect("track_published", lambda t: t.kind == stage_pb2.TRACK_KIND_AUDIO)
        assert not track.muted
        world.room.muted["ann"] = (True, False)
        async with room_server(world.issuer, world.room, port=port):
            await ann.expect("track_published", lambda t: t.track_id == track.track_id and t.muted)


async def test_a_node_that_stops_tells_room_first_and_hands_everybody_over() -> None:
    async with running() as world:
        ann = await world.join("ann")
        await world.stop_node()
        assert (await ann.expect("closed")).reason == "NODE_DRAINING"
        assert world.room.nodes["nodes/n1"].draining


async def test_a_draining_node_waits_for_its_people_when_told_to() -> None:
    async with running(drain_s=30) as world:
        ann = await world.join("ann")
        stopping = asyncio.create_task(world.stop_node())
        await until(lambda: world.room.nodes["nodes/n1"].draining)
        assert not ann.all("closed")
        async with grpc.aio.insecure_channel(world.addresses["grpc"]) as channel:
            health = health_pb2_grpc.HealthStub(channel)
            told = await health.Check(health_pb2.HealthCheckRequest())
        assert told.status == health_pb2.HealthCheckResponse.NOT_SERVING
        await ann.send(leave=stage_pb2.StageLeave())
        await asyncio.wait_for(stopping, 10)


async def test_a_node_that_should_drain_keeps_its_events_and_room_hears_before_it_obeys() -> None:
    pod = {"pool": "signaling", "pod_name": "signaling-0", "pod_uid": "uid-0"}
    asked = Timestamp(seconds=7)
    obeyed: list[tuple[int, bool]] = []

    with nats_server() as nats:
        async with (
            running(nats_url=nats.url, **pod) as world,
            Bus(nats.url, name="operator") as bus,
            EternalTasks() as tasks,
        ):

            async def listen() -> None:
                async for found in Reports(bus).watch():
                    if isinstance(found, StoredReport) and found.report.obeyed_drain_time == asked:
                        cordoned = world.room.nodes["nodes/n1"].cordoned
                        obeyed.append((found.report.sessions, cordoned))

            tasks.spawn("listen", listen())
            ann = await world.join("ann")
            await bus.connected.wait()
            await Drains(bus).ask("uid-0", DrainRecord(ask_time=asked))
            await until(lambda: obeyed)

            # Whoever comes to her event finds her there.
            bob = await world.join("bob")
            assert await bob.expect("joined")
            assert not world.room.nodes["nodes/n1"].draining
            for one in (ann, bob):
                await one.send(leave=stage_pb2.StageLeave())
            await until(lambda: obeyed[-1][0] == 0)

            await Drains(bus).withdraw("uid-0")
            await until(lambda: not world.room.nodes["nodes/n1"].cordoned)
    assert obeyed[0][0] == 1
    assert all(cordoned for _, cordoned in obeyed)


async def test_facts_tell_who_came_and_went() -> None:
    with nats_server() as nats:
        heard: list[tuple[str, events_pb2.Envelope]] = []
        async with running(nats_url=nats.url) as world, Bus(nats.url, name="test") as bus:

            async def hear(subject: str, fact: events_pb2.Envelope) -> None:
                heard.append((subject, fact))

            await asyncio.wait_for(bus.ensure_streams(), 10)
            await bus.subscribe(subjects.ALL_FACTS, hear)
            seat = await world.join("programme", "recorder")
            ann = await world.join("ann")
            await ann.publish()
            await seat.frames()
            await ann.send(leave=stage_pb2.StageLeave())
            await until(lambda: any(f.HasField("participant_left") for _, f in heard))
    kinds = [fact.WhichOneof("fact") for _, fact in heard]
    assert kinds.count("participant_joined") == 1
    assert kinds.count("track_published") == 2
    assert heard[0][0] == "odeon.evt.signaling.participant.joined.v1.acme.launch"
    assert heard[0][1].tenant_id == "acme"


async def test_the_trace_of_the_click_holds_ice_dtls_and_the_first_packet() -> None:
    async with otlp_receiver() as collector:
        provider = setup_tracing("signaling", endpoint=collector.endpoint)
        began = time.time_ns()
        async with running() as world:
            ann = await world.join("ann", traceparent=f"00-{TRACE}-b7ad6b7169203331-01")
            await ann.publish()
            await ann.expect("track_published")
        await asyncio.to_thread(provider.shutdown)
        wanted = {"join", "ice", "dtls", "first_rtp"}
        spans = await collector.trace_where(lambda all_: wanted <= {s.name for s in all_})
    by_name = {span.name: span for span in spans}
    assert by_name["join"].trace_id == TRACE
    assert by_name["ice"].parent_id == by_name["join"].span_id
    times = [by_name[n].end_ns for n in ("ice", "dtls", "first_rtp")]
    assert times == sorted(times)
    assert began < times[0] < time.time_ns()


async def test_stats_tell_sessions_layers_and_the_calls_that_sent_them(world: World) -> None:
    await world.whip()
    viewer, _ = await world.whep()
    await until(lambda: viewer.recv(0))

    stats = await world.stub.GetNodeStats(
        signaling_pb2.GetNodeStatsRequest(event_key="acme/launch")
    )

    assert {s.kind for s in stats.sessions} == {"publish", "whep"}
    assert stats.egress_packets >= stats.egress_calls > 0
    assert any(layer.bitrate_bps >= 0 for s in stats.sessions for layer in s.layers)
    none = await world.stub.GetNodeStats(signaling_pb2.GetNodeStatsRequest(event_key="acme/x"))
    assert not none.sessions


async def test_a_session_that_never_connects_is_dropped() -> None:
    client = Client()
    offer = client.create_offer(video_codec="vp8")
    client.close()
    async with running(connect_s=0.5) as world:
        ann = await world.join("ann")
        token = world.issuer.token(Audience.PUBLISH, subject="obs", role="publisher")
        await world.stub.Publish(
            signaling_pb2.PublishRequest(token=token, event="events/launch", sdp_offer=offer)
        )
        assert (await ann.expect("participant_left")).identity == "obs"


def test_a_client_that_does_not_read_is_closed() -> None:
    outbox = Outbox(limit=3)
    for n in range(5):
        outbox.send(pong=stage_pb2.StagePong(id=n))
    assert outbox.closed


def test_monotonic_stamps_become_unix_time() -> None:
    assert abs(unix_ns(time.monotonic_ns()) - time.time_ns()) < 50_000_000


def test_the_load_is_that_of_the_busier_thread() -> None:
    meter = CpuMeter()
    assert 0 <= meter.load(0) <= 1
    assert meter.load(10**12) == 1


async def test_what_room_cannot_hear_now_waits_bounded() -> None:
    reports = ParticipantReports(None, "n1", lambda *_: None)  # type: ignore[arg-type]
    for n in range(10_050):
        grant = Grant(
            key=EventKey("acme", "launch"), identity=f"p{n}", session_id="", display_name="",
            role="guest",
        )  # fmt: skip
        reports.left(grant)
    assert len(reports._later) == 10_000
