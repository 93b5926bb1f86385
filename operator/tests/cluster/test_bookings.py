"""What is booked in the product, from room's API to pods that stand before the event begins."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from odeon.bookings.v1 import bookings_pb2
from odeon.events.v1 import events_pb2
from odeon.room.v1 import room_pb2 as pb
from odeon.room.v1 import room_pb2_grpc
from odeon_room import app as room_app
from odeon_room.settings import RoomSettings
from odeon_runtime import subjects
from odeon_runtime.bookings import Bookings
from odeon_runtime.bus import Bus, envelope
from odeon_testkit.issuer import SERVICE_SECRET
from odeon_testkit.kube.api import Object, Refused
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.operated_site import Site
from odeon_testkit.room_peers import RoomApi, room_peers

GROUP = "/apis/odeon.live/v1alpha1"
EVENTS = 3
LEAD = 15.0
HOUR = timedelta(hours=1)


@pytest.fixture
def nats() -> Iterator[NatsServer]:
    """One for each test: what is booked in a NATS is shown in every operator's namespace."""
    with nats_server() as server:
        yield server


@asynccontextmanager
async def running_room(directory: Path, nats_url: str) -> AsyncIterator[RoomApi]:
    async with room_peers() as peers:
        settings = RoomSettings(
            data_dir=directory,
            service_secret=SERVICE_SECRET,
            auth_address=peers.auth_address,
            recorder_address=peers.recorder_address,
            nats_url=nats_url,
        )
        async with (
            room_app.start(settings) as addresses,
            grpc.aio.insecure_channel(addresses["grpc"]) as channel,
        ):
            yield RoomApi(room_pb2_grpc.RoomServiceStub(channel), peers)


def stamp(moment: datetime) -> Timestamp:
    wire = Timestamp()
    wire.FromDatetime(moment)
    return wire


def now() -> datetime:
    return datetime.now(UTC)


def live_events(site: Site) -> dict[str, Object]:
    path = f"{GROUP}/namespaces/{site.namespace}/liveevents"
    found = site.api.get(path)["items"]
    return {
        raw["metadata"]["name"]: {"apiVersion": "odeon.live/v1alpha1", "kind": "LiveEvent", **raw}
        for raw in found
    }


def phases(site: Site) -> list[str]:
    return [raw.get("status", {}).get("phase", "") for raw in live_events(site).values()]


def condition(site: Site, event: str, kind: str) -> Object:
    found = live_events(site)[event].get("status", {}).get("conditions", [])
    return next((one for one in found if one["type"] == kind), {})


def by_hand(site: Site, name: str, start: datetime, **spec: object) -> Object:
    return site.api.create(
        {
            "apiVersion": "odeon.live/v1alpha1",
            "kind": "LiveEvent",
            "metadata": {"name": name, "namespace": site.namespace},
            "spec": {
                "tenantRef": {"name": "acme"},
                "start": start.isoformat(),
                "end": (start + HOUR).isoformat(),
                **spec,
            },
        }
    )


async def _quiet(site: Site) -> None:
    """Wait until nothing is written any more, and for several looks and a resync after that."""
    before = -1
    while before != len(site.writes()):
        before = len(site.writes())
        await site.renewals(5)
    await site.renewals(12)
    assert len(site.writes()) == before


async def test_what_is_booked_in_the_product_is_there_before_it_begins_and_goes_when_cancelled(
    site: Site, nats: NatsServer
) -> None:
    events = {"leadTime": f"{LEAD:.0f}s", "holdAfterEnd": "0s"}
    site.make_policy("booked", events=events)
    profiles = [{"name": "default", "cost": 2}]
    site.make_pool(policyRef={"name": "booked"}, profiles=profiles)
    operator = site.operator()
    operator.start()
    await site.serving(1)  # what is kept free
    async with running_room(site.directory, nats.url) as room:
        start = now() + timedelta(seconds=LEAD + 8)
        for number in range(EVENTS):
            await room.event(
                f"e{number}", "SCHEDULED", schedule_time=stamp(start), expected_viewers=9
            )
        await site.until(lambda: phases(site) == ["Pending"] * EVENTS)
        assert len(site.names()) == 1
        # It dies before anything is due; the next one begins with what stands.
        operator.kill()
        await asyncio.to_thread(operator.start)

        await site.until(lambda: phases(site) == ["Ready"] * EVENTS)
        assert now() < start
        assert len(site.names()) == EVENTS + 1
        for raw in live_events(site).values():
            status = raw["status"]
            assert start - timedelta(seconds=LEAD) <= datetime.fromisoformat(status["readyAt"])
            assert status["reserved"] == {"slots": 2, "viewers": 0}
            assert raw["spec"]["expected"]["viewers"]["p95"] == 9

        for number in range(EVENTS):
            ended = pb.EndEventRequest(name=f"events/e{number}")
            await room.stub.EndEvent(ended, metadata=room.owner().metadata)
        await site.serving(1)
        await site.until(lambda: phases(site) == ["Done"] * EVENTS)
    assert site.kubelet.killed == []


async def test_what_stands_is_what_is_booked_and_nothing_that_somebody_else_made(
    site: Site, nats: NatsServer
) -> None:
    start = now() + HOUR
    async with Bus(nats.url, name="room") as bus:
        await bus.connected.wait()
        bookings = Bookings(bus)
        theirs = by_hand(site, "acme.theirs", start, registrations=7)
        for event in ("gala", "theirs"):
            booking = bookings_pb2.Booking(
                tenant_id="acme",
                event_id=event,
                state=bookings_pb2.Booking.STATE_SCHEDULED,
                schedule_time=stamp(start),
                schedule_end_time=stamp(start + HOUR),
            )
            await bookings.put(booking, after=0)
    by_hand(site, "old", start - 3 * HOUR, ttlSecondsAfterFinished=60)
    site.make_pool()
    site.operator().start()
    await site.until(lambda: set(live_events(site)) == {"acme.gala", "acme.theirs"})
    await site.until(lambda: phases(site) == ["Pending"] * 2)
    await site.serving(1)
    await site.until(lambda: site.condition("Ready").get("status") == "True")
    await _quiet(site)

    first = live_events(site)["acme.gala"]
    site.api.delete(first)
    await site.until(lambda: "acme.gala" in live_events(site))
    changed = live_events(site)["acme.gala"]
    assert changed["metadata"]["uid"] != first["metadata"]["uid"]
    site.api.patch(changed, {"spec": {"end": (start + 9 * HOUR).isoformat()}})
    await site.until(lambda: live_events(site)["acme.gala"]["spec"]["end"] == first["spec"]["end"])

    # Neither a NATS that is away nor one without its disk cancels anything.
    nats.stop()
    await site.renewals(5)
    assert set(live_events(site)) == {"acme.gala", "acme.theirs"}
    kept = live_events(site)["acme.theirs"]
    assert kept["spec"] == theirs["spec"]
    assert "odeon.live/projected-from" not in kept["metadata"].get("labels", {})


async def test_who_names_a_tenant_of_another_namespace_is_told_so_and_gets_nothing(
    site: Site,
) -> None:
    tenant = {
        "apiVersion": "odeon.live/v1alpha1",
        "kind": "Tenant",
        "metadata": {"name": site.namespace},
        "spec": {"namespaces": ["elsewhere"]},
    }
    site.make_pool(minReplicas=1, tenantRef={"name": site.namespace})
    by_hand(site, "gala", now(), tenantRef={"name": site.namespace})
    site.api.create(tenant)
    try:
        site.operator().start()
        await site.until(lambda: condition(site, "gala", "Admitted").get("status") == "False")
        assert condition(site, "gala", "Admitted")["reason"] == "ForeignNamespace"
        await site.until(lambda: "is not one of tenant" in site.condition("Ready")["message"])
        assert site.names() == []

        site.api.delete(tenant)

        await site.serving(1)
        await site.until(lambda: condition(site, "gala", "Admitted").get("status") == "True")
    finally:
        with suppress(Refused):
            site.api.delete(tenant)


async def test_a_job_that_waits_starts_the_first_pod_of_an_empty_pool(
    site: Site, nats: NatsServer
) -> None:
    site.make_policy("nothing-free", buffer=0)
    site.make_pool(policyRef={"name": "nothing-free"})
    site.operator().start()
    await site.until(lambda: site.condition("MetricsAvailable").get("status") == "True")
    assert site.names() == []

    async with Bus(nats.url, name="room") as bus:
        await bus.connected.wait()
        await bus.ensure_streams()
        body = envelope("acme", job_offered=events_pb2.JobOffered(job_id="j1", slots=1))
        await bus.publish_now(subjects.work("transcoder.job.offer", "acme", "j1"), body)

        await site.serving(1)
