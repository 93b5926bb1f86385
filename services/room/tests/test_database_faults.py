"""A PostgreSQL that stops and comes back, under a room that runs."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import grpc
import pytest
from odeon.room.v1 import room_pb2 as pb
from odeon_room.settings import RoomSettings
from odeon_testkit.callers import eventually, refusal
from odeon_testkit.issuer import SERVICE_SECRET
from odeon_testkit.postgres import postgres_or_skip
from odeon_testkit.room_peers import RoomApi, RoomPeers

RunRoom = Callable[[RoomSettings], AbstractAsyncContextManager[RoomApi]]


@pytest.mark.postgres
async def test_while_the_database_is_away_calls_say_so_and_afterwards_all_is_as_it_was(
    peers: RoomPeers, run_room: RunRoom, tmp_path: Path
) -> None:
    with postgres_or_skip() as server:
        settings = RoomSettings(
            data_dir=tmp_path,
            database_url=server.new_database(),
            service_secret=SERVICE_SECRET,
            auth_address=peers.auth_address,
            recorder_address=peers.recorder_address,
        )
        async with run_room(settings) as room:
            made = await room.event("launch")
            await room.node("n1")
            (offered,) = await room.jobs()
            job = await room.claim(offered.name)
            get = pb.GetEventRequest(name="events/launch")
            owner = room.owner().metadata

            server.stop()
            away = room.stub.GetEvent(get, metadata=owner)
            assert await refusal(away) == ("UNAVAILABLE", "DATABASE_UNAVAILABLE")
            server.start()

            async def back() -> bool:
                found = await room.stub.GetEvent(get, metadata=owner)
                return bool(found.event == made.event)

            await eventually(lambda: _unless_refused(back))
            request = pb.RenewJobRequest(name=job.name, worker="w1", claim=job.claim)
            transcoder = room.service("transcoder").metadata
            renewed = await room.stub.RenewJob(request, metadata=transcoder)
            assert (renewed.job.state, renewed.job.claim) == (pb.Job.STATE_CLAIMED, job.claim)


async def _unless_refused(check: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await check()
    except grpc.aio.AioRpcError:
        return False
