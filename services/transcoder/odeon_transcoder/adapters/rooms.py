"""Jobs over room's gRPC."""

from collections.abc import AsyncIterator

import grpc
from odeon.room.v1 import room_pb2, room_pb2_grpc

from odeon_transcoder import messages
from odeon_transcoder.adapters.answers import asking, reason_of
from odeon_transcoder.domain.layout import LayoutKind
from odeon_transcoder.ports import Assignment, JobNotOurs, Outcome

_TIMEOUT_S = 3.0
_KINDS = {
    room_pb2.Layout.KIND_SINGLE: LayoutKind.SINGLE,
    room_pb2.Layout.KIND_GRID: LayoutKind.GRID,
    room_pb2.Layout.KIND_SPEAKER: LayoutKind.SPEAKER,
    room_pb2.Layout.KIND_PICTURE_IN_PICTURE: LayoutKind.PICTURE_IN_PICTURE,
    room_pb2.Layout.KIND_SCREEN_SPEAKER: LayoutKind.SCREEN_SPEAKER,
}
_OUTCOMES = {
    Outcome.DONE: room_pb2.FinishJobRequest.OUTCOME_DONE,
    Outcome.FAILED: room_pb2.FinishJobRequest.OUTCOME_FAILED,
    Outcome.RELEASED: room_pb2.FinishJobRequest.OUTCOME_RELEASED,
}
_OVER = (room_pb2.Job.STATE_CANCELLED, room_pb2.Job.STATE_DONE, room_pb2.Job.STATE_FAILED)


class GrpcRooms:
    """Implements `ports.Rooms`."""

    def __init__(self, stub: "room_pb2_grpc.RoomServiceStub") -> None:
        self._stub = stub

    async def claim(self, job: str, worker: str) -> Assignment:
        """Take a job, or get its join token anew."""
        request = room_pb2.ClaimJobRequest(name=job, worker=worker)
        with asking(_refused):
            response = await self._stub.ClaimJob(request, timeout=_TIMEOUT_S)
        return assignment_from_proto(response.job)

    async def renew(self, assignment: Assignment, worker: str, status: str) -> Assignment:
        """Keep a claim."""
        request = room_pb2.RenewJobRequest(
            name=assignment.job, worker=worker, claim=assignment.claim, status=status
        )
        with asking(_refused):
            response = await self._stub.RenewJob(request, timeout=_TIMEOUT_S)
        return assignment_from_proto(response.job)

    async def finish(
        self, assignment: Assignment, worker: str, outcome: Outcome, detail: str
    ) -> None:
        """Give a job back."""
        request = room_pb2.FinishJobRequest(
            name=assignment.job,
            worker=worker,
            claim=assignment.claim,
            outcome=_OUTCOMES[outcome],
            detail=detail[:200],
        )
        with asking(_refused):
            await self._stub.FinishJob(request, timeout=_TIMEOUT_S)

    async def watch(self, assignment: Assignment, worker: str) -> AsyncIterator[Assignment]:
        """The job whenever it changes."""
        request = room_pb2.WatchJobRequest(
            name=assignment.job, worker=worker, claim=assignment.claim
        )
        with asking(_refused):
            async for response in self._stub.WatchJob(request):
                yield assignment_from_proto(response.job)


def assignment_from_proto(job: room_pb2.Job) -> Assignment:
    """A job as room describes it."""
    kind = _KINDS.get(job.layout.kind, LayoutKind.SINGLE)
    return Assignment(
        job=job.name,
        tenant=job.tenant_id,
        event=job.event.removeprefix("events/"),
        claim=job.claim,
        profile=job.profile,
        layout=messages.Layout(kind.value, job.layout.focus, job.layout.name_labels),
        node_address=job.node_address,
        join_token=job.join_token,
        cancelled=job.state in _OVER,
        slots=max(1, job.slots),
    )


def _refused(error: grpc.aio.AioRpcError) -> Exception:
    return JobNotOurs(reason_of(error))
