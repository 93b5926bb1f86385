"""Start the transcoder: settings → adapters → use cases → api → run."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from odeon.transcoder.v1 import transcoder_pb2, transcoder_pb2_grpc
from odeon_runtime.bus import Bus
from odeon_runtime.grpc_client import Peers
from odeon_runtime.grpc_server import GrpcServer
from odeon_runtime.pool_agent import Intake, Member, PoolAgent
from odeon_runtime.run import run
from odeon_runtime.tasks import EternalTasks
from odeon_runtime.tokens import Verifier
from odeon_runtime.trust import TrustStore, follow_bus, follow_stream

from odeon_transcoder.adapters.memory import FileMemory
from odeon_transcoder.adapters.offers import BusOffers
from odeon_transcoder.adapters.processes import PipedProcesses, probe
from odeon_transcoder.adapters.rooms import GrpcRooms
from odeon_transcoder.adapters.stages import GrpcStages
from odeon_transcoder.adapters.timelines import GrpcTimelines
from odeon_transcoder.adapters.tokens import ServiceTokens
from odeon_transcoder.api.grpc import TranscoderServicer
from odeon_transcoder.pipeline.probe import Capability
from odeon_transcoder.reports import count_frames, report_load
from odeon_transcoder.settings import TranscoderSettings
from odeon_transcoder.usecases.job import JobConfig, Surroundings
from odeon_transcoder.usecases.spares import Spares
from odeon_transcoder.usecases.supervisor import Supervisor


@asynccontextmanager
async def start(settings: TranscoderSettings) -> AsyncIterator[dict[str, str]]:
    """Start all parts; yields the addresses of the ready line."""
    capability = await probe() if settings.probe else Capability("CPU", "", "not probed")
    async with AsyncExitStack() as stack:
        bus = await stack.enter_async_context(Bus.of(settings, name=settings.worker))
        peers = Peers("transcoder", settings)
        stack.push_async_callback(peers.close)
        trust = TrustStore()
        tasks = await stack.enter_async_context(EternalTasks())
        tasks.spawn("trust-stream", follow_stream(trust, peers))
        await follow_bus(trust, bus)
        spares = Spares(PipedProcesses(gpu=capability.path != "CPU"), settings.spares)
        stack.push_async_callback(spares.close)
        member = Member.of(settings)
        agent = PoolAgent.on(bus, member, lambda: supervisor.load) if member else None
        supervisor = _supervisor(settings, capability, bus, peers, spares, agent)
        if agent is not None:
            # It goes on reporting while the supervisor stops.
            tasks.spawn("pool", agent.run())
        # Before the peers and the trust go: jobs deliver what they have and are given back.
        stack.push_async_callback(
            supervisor.stop, wait_s=settings.drain_s, flush_s=settings.flush_s
        )
        work = await stack.enter_async_context(EternalTasks())
        work.spawn("spares", spares.refill())
        work.spawn("resume", supervisor.resume())
        work.spawn("offers", supervisor.take_offers())
        work.spawn("load", report_load(bus, settings.worker, supervisor))
        servicer = TranscoderServicer(settings.worker, supervisor, spares, capability)
        server = _server(settings, trust, servicer)
        await stack.enter_async_context(server)
        yield {"grpc": server.address, "encoder": capability.path}


def _server(
    settings: TranscoderSettings, trust: TrustStore, servicer: TranscoderServicer
) -> GrpcServer:
    return GrpcServer(
        host=settings.grpc_host,
        port=settings.grpc_port,
        verifier=Verifier(trust),
        services=[
            (
                transcoder_pb2_grpc.add_TranscoderServiceServicer_to_server,
                servicer,
                transcoder_pb2.DESCRIPTOR.services_by_name["TranscoderService"],
            )
        ],
        domain="transcoder.odeon.live",
        grace_s=0.5,
    )


def _supervisor(
    settings: TranscoderSettings,
    capability: Capability,
    bus: Bus,
    peers: Peers,
    spares: Spares,
    intake: Intake | None,
) -> Supervisor:
    config = JobConfig(
        worker=settings.worker,
        ingest_url=settings.recorder_http,
        media_host=settings.media_host,
        encoder=capability.video_encoder,
        preset=settings.preset,
        decode_device=capability.decode_device or "",
        max_frame_rate=settings.max_frame_rate,
        patience_s=settings.patience_ms / 1000,
        slate_after_s=settings.slate_after_s,
        watchdog_s=settings.watchdog_s,
        flush_s=settings.flush_s,
    )
    around = Surroundings(
        rooms=GrpcRooms(peers.room),
        timelines=GrpcTimelines(peers.recorder),
        stages=GrpcStages(peers.signaling),
        tokens=ServiceTokens(peers.service_token),
        spares=spares,
        count=count_frames,
    )
    return Supervisor(
        slots=settings.slots,
        offers=BusOffers(bus),
        memory=FileMemory(settings.data_dir / "transcoder" / f"{settings.worker}.json"),
        config=config,
        around=around,
        intake=intake,
    )


def main() -> None:
    """Entry point of `python -m odeon_transcoder`."""
    settings = TranscoderSettings()
    run("transcoder", settings, lambda: start(settings))


if __name__ == "__main__":
    main()
