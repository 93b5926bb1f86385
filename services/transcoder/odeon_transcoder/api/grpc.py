"""gRPC edge of the transcoder: what it does, and drain."""

from odeon.transcoder.v1 import transcoder_pb2, transcoder_pb2_grpc
from odeon_runtime.grpc_server import Context
from odeon_runtime.principal import current_principal

from odeon_transcoder.pipeline.probe import Capability
from odeon_transcoder.usecases.job import JobRun
from odeon_transcoder.usecases.spares import Spares
from odeon_transcoder.usecases.supervisor import Supervisor

_PATHS = {
    "NVENC": transcoder_pb2.EncoderCapability.PATH_NVENC,
    "NVDEC_CPU": transcoder_pb2.EncoderCapability.PATH_NVDEC_CPU,
    "CPU": transcoder_pb2.EncoderCapability.PATH_CPU,
}


class TranscoderServicer(transcoder_pb2_grpc.TranscoderServiceServicer):
    """Status and drain; work comes by claim."""

    def __init__(
        self, worker: str, supervisor: Supervisor, spares: Spares, capability: Capability
    ) -> None:
        self._worker = worker
        self._supervisor = supervisor
        self._spares = spares
        self._capability = capability

    async def GetStatus(
        self, request: transcoder_pb2.GetStatusRequest, context: Context
    ) -> transcoder_pb2.GetStatusResponse:
        """Slots, encoder and running jobs, of all tenants. Refusals: PERMISSION_DENIED."""
        current_principal().require_alone()
        return transcoder_pb2.GetStatusResponse(
            worker=self._worker,
            slots_total=self._supervisor.slots,
            slots_used=self._supervisor.slots_used,
            draining=self._supervisor.draining,
            encoder=transcoder_pb2.EncoderCapability(
                path=_PATHS[self._capability.path],
                device=self._capability.device,
                detail=self._capability.detail,
            ),
            jobs=[job_to_proto(job) for job in self._supervisor.jobs],
            warm_spare=self._spares.warm > 0,
        )

    async def Drain(
        self, request: transcoder_pb2.DrainRequest, context: Context
    ) -> transcoder_pb2.DrainResponse:
        """Take no new work from now on; running jobs go on. Refusals: PERMISSION_DENIED."""
        current_principal().require_alone()
        self._supervisor.drain()
        return transcoder_pb2.DrainResponse()


def job_to_proto(job: JobRun) -> transcoder_pb2.RunningJob:
    """A running job as its last report says."""
    status = job.status
    message = transcoder_pb2.RunningJob(
        job=job.assignment.job,
        event_key=f"{job.assignment.tenant}/{job.assignment.event}",
        epoch=status.epoch,
        process_id=job.pid,
        rungs=[
            transcoder_pb2.RungStatus(track=rung.track, running=rung.running, reason=rung.reason)
            for rung in status.rungs
        ],
        frames_received=status.frames_received,
        frames_encoded=status.frames_encoded,
        frames_repeated=status.frames_repeated,
        frames_dropped=status.frames_dropped,
        parts_pending=status.parts_pending,
    )
    message.start_time.FromNanoseconds(round(job.started_unix_s * 1e9))
    if status.ack_p95_s is not None:
        message.capture_to_ack_p95.FromNanoseconds(round(status.ack_p95_s * 1e9))
    return message
