"""A node that takes joins and loses all media leaves placement by what real parts do about it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from odeon.auth.v1 import auth_pb2_grpc
from odeon.room.v1 import room_pb2, room_pb2_grpc
from odeon_signaling.app import signaling
from odeon_signaling.prober.app import prober
from odeon_signaling.prober.settings import ProberSettings
from odeon_signaling.settings import SignalingSettings
from odeon_testkit.callers import AuthApi, eventually
from odeon_testkit.impair import EVERYTHING, Filter, udp_filter

from .conftest import OPERATOR_KEY, SECRET, SERVICES

OUT_WITHIN_S = 30.0
"""The product's promise; two bad probes of 5 s, 4 s apart at most, are 18 s."""
START = {service.name: service.start for service in SERVICES}


@dataclass
class Stand:
    """Auth, room and the prober; nodes join as the test says."""

    home: Path
    stack: AsyncExitStack
    around: dict[str, str]
    auth: AuthApi
    room: room_pb2_grpc.RoomServiceStub

    async def node(self, name: str, path: Filter | None = None) -> None:
        """Start a node, behind a filter or directly reachable."""
        advertise = "{}:{}".format(*path.address) if path else ""
        settings = SignalingSettings(
            data_dir=self.home,
            node=name,
            service_secret=SECRET,
            auth_address=self.around["auth"],
            room_address=self.around["room"],
            advertise=(advertise,) if advertise else (),
        )
        addresses = await self.stack.enter_async_context(signaling(settings))
        if path is not None:
            path.server = ("127.0.0.1", int(addresses["media_port"]))

    async def prober(self) -> None:
        """Start the prober as it is deployed."""
        settings = ProberSettings(
            data_dir=self.home,
            service_secret=SECRET,
            auth_address=self.around["auth"],
            room_address=self.around["room"],
        )
        await self.stack.enter_async_context(prober(settings))

    async def event(self, event_id: str) -> None:
        owner = await self.auth.holder_of(OPERATOR_KEY)
        event = room_pb2.Event(state=room_pb2.Event.STATE_LIVE)
        request = room_pb2.CreateEventRequest(event_id=event_id, event=event)
        await self.room.CreateEvent(request, metadata=owner.metadata)

    async def place_of(self, event_id: str) -> str:
        """The node where newcomers of an event are sent."""
        gateway = await self.auth.service("gateway")
        request = room_pb2.PlaceEventRequest(tenant_id="default", event=f"events/{event_id}")
        return (await self.room.PlaceEvent(request, metadata=gateway.metadata)).node.name

    async def knows(self, node: str, *, eligible: bool) -> bool:
        """Whether room has heard the prober on a node, and what came of it."""
        prober = await self.auth.service("prober")
        found = await self.room.ListNodes(room_pb2.ListNodesRequest(), metadata=prober.metadata)
        return any(
            n.name == f"nodes/{node}" and n.HasField("probe_time") and n.eligible == eligible
            for n in found.nodes
        )


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    around: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        for name in ("auth", "room"):
            started = await stack.enter_async_context(START[name](around, tmp_path))
            around[name] = started["grpc"]
        auth, room = [
            await stack.enter_async_context(grpc.aio.insecure_channel(around[name]))
            for name in ("auth", "room")
        ]
        stub = auth_pb2_grpc.AuthServiceStub(auth)
        api = AuthApi(around["auth"], stub, OPERATOR_KEY, SECRET)
        yield Stand(tmp_path, stack, around, api, room_pb2_grpc.RoomServiceStub(room))


@pytest.mark.timeout(240)
async def test_a_node_that_takes_joins_and_drops_media_is_out_of_placement_within_30_s(
    stand: Stand,
) -> None:
    async with udp_filter() as path:
        await stand.node("gray", path)
        await stand.prober()
        await eventually(lambda: stand.knows("gray", eligible=True), within_s=30)
        await stand.event("launch")
        assert await stand.place_of("launch") == "nodes/gray"
        await stand.node("good")
        await eventually(lambda: stand.knows("good", eligible=True), within_s=30)
        assert await stand.place_of("launch") == "nodes/gray"  # nobody moves for nothing

        path.passing = frozenset({"stun", "dtls"})  # joins, ICE and DTLS go on

        async def moved() -> bool:
            return await stand.place_of("launch") == "nodes/good"

        await eventually(moved, within_s=OUT_WITHIN_S)
        await stand.event("gala")
        assert await stand.place_of("gala") == "nodes/good"

        path.passing = EVERYTHING
        await eventually(lambda: stand.knows("gray", eligible=True), within_s=30)
        assert await stand.place_of("launch") == "nodes/good"
