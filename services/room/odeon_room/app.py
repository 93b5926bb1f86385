"""Room, put together. Tests start it in their own process; `__main__` starts it for real."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from odeon.room.v1 import room_pb2, room_pb2_grpc
from odeon_runtime import trust as trusting
from odeon_runtime.bookings import Bookings
from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.logs import logger
from odeon_runtime.sql import Database
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore

from odeon_room.adapters.bookings import BookingRelay
from odeon_room.adapters.desk import AuthDesk
from odeon_room.adapters.relay import NatsOffers, OutboxRelay
from odeon_room.adapters.stage import RecorderTimelines, SignalingStage
from odeon_room.adapters.store import SqlNodes, SqlStore
from odeon_room.api.grpc import RoomServicer, UseCases
from odeon_room.domain.links import Bases
from odeon_room.settings import RoomSettings
from odeon_room.usecases.context import utc_now
from odeon_room.usecases.entry import Entries
from odeon_room.usecases.events import Events
from odeon_room.usecases.jobs import Jobs
from odeon_room.usecases.nodes import NodeBoard, Nodes
from odeon_room.usecases.participants import Participants
from odeon_room.usecases.rooms import Rooms
from odeon_room.usecases.steward import Steward
from odeon_room.usecases.watch import Changes

MIGRATIONS = Path(__file__).parent / "migrations"
SCHEMA = "room"
_KEYS_WAIT_S = 10.0
_log = logger(__name__)


@asynccontextmanager
async def start(settings: RoomSettings) -> AsyncIterator[Mapping[str, str]]:
    """Everything of room; yields its addresses. Stops in reverse order."""
    async with AsyncExitStack() as stack:
        database = Database(settings.database, schema=SCHEMA)
        stack.push_async_callback(database.close)
        if database.is_sqlite:
            await database.migrate(MIGRATIONS)
        else:
            await database.require_schema(MIGRATIONS, "python -m odeon_room migrate")
        bus = await stack.enter_async_context(Bus.of(settings, name="room"))
        peers = Peers("room", settings)
        stack.push_async_callback(peers.close)
        trust = TrustStore()
        told, booked = asyncio.Event(), asyncio.Event()
        store = SqlStore(database, utc_now, told=told, booked=booked)
        use, steward = _assemble(settings, database, bus, peers, store)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("trust-stream", trusting.follow_stream(trust, peers))
        await trusting.follow_bus(trust, bus)
        tasks.spawn("jobs", steward.watch_jobs())
        tasks.spawn("nodes", steward.watch_nodes())
        tasks.spawn("follow-ups", steward.follow_up())
        tasks.spawn("clean", steward.clean())
        if settings.nats_url:
            tasks.spawn("outbox", OutboxRelay(database, bus, told).run())
            bookings = BookingRelay(store, Bookings(bus), booked, utc_now)
            tasks.spawn("bookings-heard", bookings.hear())
            tasks.spawn("bookings", bookings.run())
        server = GrpcServer(
            host=settings.grpc_host,
            port=settings.grpc_port,
            verifier=Verifier(trust),
            services=[
                (
                    room_pb2_grpc.add_RoomServiceServicer_to_server,
                    RoomServicer(use, utc_now),
                    room_pb2.DESCRIPTOR.services_by_name["RoomService"],
                )
            ],
            domain="room.odeon.live",
        )
        await _wait_for_keys(trust)
        await steward.look_at_nodes()  # else the first callers would find no node
        await stack.enter_async_context(server)
        yield {"grpc": server.address}


async def _wait_for_keys(trust: TrustStore) -> None:
    """Without keys every caller would be a stranger; but auth may be away for long."""
    try:
        async with asyncio.timeout(_KEYS_WAIT_S):
            await trust.ready.wait()
    except TimeoutError:
        _log.warning("started_without_keys", waited_s=_KEYS_WAIT_S)


async def migrate(settings: RoomSettings) -> None:
    """Bring the database up to date."""
    database = Database(settings.database, schema=SCHEMA)
    try:
        await database.migrate(MIGRATIONS)
    finally:
        await database.close()


def _assemble(
    settings: RoomSettings, database: Database, bus: Bus, peers: Peers, store: SqlStore
) -> tuple[UseCases, Steward]:
    changes, offers = Changes(), NatsOffers(bus)
    board = NodeBoard(SqlNodes(database), utc_now)
    nodes = Nodes(store, board)
    desk, stage = AuthDesk(peers), SignalingStage(peers)
    jobs = Jobs(store, nodes, desk, changes, utc_now)
    bases = Bases.of(settings.public_url, settings.edge_url)
    use = UseCases(
        rooms=Rooms(store, utc_now),
        events=Events(store, offers, changes, utc_now),
        entries=Entries(store, desk, bases, utc_now),
        participants=Participants(store, nodes, stage, desk, utc_now),
        nodes=nodes,
        jobs=jobs,
    )
    steward = Steward(
        store=store,
        board=board,
        nodes=nodes,
        jobs_in_use=jobs,
        offers=offers,
        stage=stage,
        timelines=RecorderTimelines(peers),
        changes=changes,
        now=utc_now,
    )
    return use, steward
