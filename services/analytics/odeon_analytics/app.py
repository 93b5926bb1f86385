"""Puts analytics together; `__main__` runs it, tests run it in their own loop."""

import importlib.util
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from odeon.analytics.v1 import analytics_pb2, analytics_pb2_grpc
from odeon_runtime import subjects
from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore, follow_bus, follow_stream

from odeon_analytics.edges import EdgeBook
from odeon_analytics.facts import follow_facts
from odeon_analytics.figures import FigureDesk
from odeon_analytics.intake import Intake
from odeon_analytics.ports import Store
from odeon_analytics.servicer import AnalyticsServicer
from odeon_analytics.settings import AnalyticsSettings

SERVICE = "analytics"


@asynccontextmanager
async def analytics(settings: AnalyticsSettings) -> AsyncIterator[Mapping[str, str]]:
    """A running service; yields its addresses."""
    trust = TrustStore()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(choose_store(settings))
        bus = await stack.enter_async_context(Bus.of(settings, name=SERVICE))
        peers = Peers(SERVICE, settings)
        stack.push_async_callback(peers.close)
        edges = EdgeBook(store, silence_s=settings.edge_silence_s)
        await edges.load()
        stack.push_async_callback(edges.flush)
        intake = Intake(store, bus, flush_s=settings.flush_s)
        desk = FigureDesk(store, edges, interval_s=settings.watch_interval_s)
        await follow_bus(trust, bus)
        await bus.subscribe(subjects.EDGE_LOAD, edges.heard)
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("trust", follow_stream(trust, peers))
        tasks.spawn("intake", intake.write())
        tasks.spawn("edges", edges.keep())
        tasks.spawn("facts", follow_facts(bus, store))
        server = await stack.enter_async_context(
            GrpcServer(
                host=settings.grpc_host,
                port=settings.grpc_port,
                verifier=Verifier(trust),
                services=[
                    (
                        analytics_pb2_grpc.add_AnalyticsServiceServicer_to_server,
                        AnalyticsServicer(intake, desk),
                        analytics_pb2.DESCRIPTOR.services_by_name["AnalyticsService"],
                    )
                ],
                domain="analytics.odeon.live",
            )
        )
        yield {"grpc": server.address, "store": type(store).__name__}


def choose_store(settings: AnalyticsSettings) -> Store:
    """The store that the settings name; engines are imported only here, where they are used."""
    name = settings.store.get_secret_value()
    directory = settings.data_dir / SERVICE
    file, chdb = directory / "analytics.db", directory / "chdb"
    if name == "auto":
        has_chdb = importlib.util.find_spec("chdb") is not None
        name = "chdb" if has_chdb and (chdb.exists() or not file.exists()) else "sqlite"
    if name == "sqlite":
        from odeon_analytics.adapters.sqlite import SqliteStore

        return SqliteStore(file)
    from odeon_analytics.adapters.clickhouse import ChDb, ClickHouseServer, ClickHouseStore

    return ClickHouseStore(ChDb(chdb) if name == "chdb" else ClickHouseServer(name))
