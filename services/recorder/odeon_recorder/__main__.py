"""Start the recorder: settings → adapters → use cases → api → run."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.http import HttpServer
from odeon_runtime.pool_agent import Load, Member, PoolAgent
from odeon_runtime.run import run
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore, follow_bus, follow_stream

from odeon_recorder.adapters.announcer import BusAnnouncer
from odeon_recorder.adapters.archive import ObjectArchive
from odeon_recorder.adapters.disk import Disk
from odeon_recorder.adapters.keyring import Keyring
from odeon_recorder.adapters.spool import DiskSpool
from odeon_recorder.api.app import App
from odeon_recorder.api.grpc import RecorderServicer
from odeon_recorder.api.ingest import Ingest
from odeon_recorder.api.origin import Origin
from odeon_recorder.settings import RecorderSettings
from odeon_recorder.usecases.recorder import Keeping, Recorder

FIRST_KEYS_S = 3.0
"""How long a first start waits for auth's keys; without them parts are refused for now."""


@asynccontextmanager
async def start(
    settings: RecorderSettings, disk: Disk | None = None
) -> AsyncIterator[dict[str, str]]:
    """Start all parts; yields the addresses of the ready line."""
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.of(settings, name="recorder"))
        trust = TrustStore()
        disk = disk or Disk()
        keyring = Keyring(trust, settings.spool / "trusted-keys.json", disk)
        spool = DiskSpool(settings.spool, disk)
        stack.callback(spool.close)
        peers = Peers("recorder", settings)
        stack.push_async_callback(peers.close)
        tasks = await stack.enter_async_context(EternalTasks())
        if settings.auth_address:
            tasks.spawn("trust-stream", follow_stream(trust, peers))
            await follow_bus(trust, bus)
        await keyring.load(wait_s=FIRST_KEYS_S if settings.auth_address else 0.0)
        tasks.spawn("keyring", keyring.keep())
        recorder = Recorder(
            spool, ObjectArchive(settings.archive), BusAnnouncer(bus), _keeping(settings)
        )
        tasks.spawn("keep-house", recorder.keep_house())
        if (member := Member.of(settings)) is not None:
            # Nobody could take what it would refuse: it says what it holds, and is waited for.
            agent = PoolAgent.on(bus, member, lambda: Load(sessions=recorder.live))
            tasks.spawn("pool", agent.run())
        verifier = Verifier(trust)
        http = await stack.enter_async_context(_http(settings, recorder, verifier))
        grpc = await stack.enter_async_context(_grpc(settings, recorder, verifier))
        # First thing at stop: blocked players are let go, so that the servers can finish.
        stack.push_async_callback(recorder.close)
        yield {"grpc": grpc.address, "http": http.address}


def _keeping(settings: RecorderSettings) -> Keeping:
    return Keeping(
        min_free_bytes=settings.min_free_bytes,
        spool_keep_s=settings.spool_keep_s,
        retention_days=settings.retention_days,
    )


def _http(settings: RecorderSettings, recorder: Recorder, verifier: Verifier) -> HttpServer:
    ingest = Ingest(recorder, verifier, max_part_bytes=settings.max_part_bytes)
    app = App(ingest, Origin(recorder))
    return HttpServer(app, host=settings.http_host, port=settings.http_port)


def _grpc(settings: RecorderSettings, recorder: Recorder, verifier: Verifier) -> GrpcServer:
    service = (
        recorder_pb2_grpc.add_RecorderServiceServicer_to_server,
        RecorderServicer(recorder),
        recorder_pb2.DESCRIPTOR.services_by_name["RecorderService"],
    )
    return GrpcServer(
        host=settings.grpc_host,
        port=settings.grpc_port,
        verifier=verifier,
        services=[service],
        domain="recorder.odeon.live",
    )


def main() -> None:
    """Entry point of `python -m odeon_recorder`."""
    settings = RecorderSettings()
    run("recorder", settings, lambda: start(settings))


if __name__ == "__main__":
    main()
