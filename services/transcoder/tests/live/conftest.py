"""A transcoder among real neighbours: node, recorder, NATS; room is scripted."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from odeon.events.v1 import events_pb2
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc
from odeon.room.v1 import room_pb2
from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc
from odeon.transcoder.v1 import transcoder_pb2, transcoder_pb2_grpc
from odeon_recorder.__main__ import start as recorder
from odeon_recorder.settings import RecorderSettings
from odeon_runtime import subjects
from odeon_runtime.bus import Bus, envelope
from odeon_runtime.errors import DomainError, Kind
from odeon_runtime.grpc_server import Context
from odeon_runtime.tokens import Audience
from odeon_signaling.app import signaling
from odeon_signaling.settings import SignalingSettings
from odeon_testkit.issuer import SERVICE_SECRET, Issuer, auth_server
from odeon_testkit.nats import NatsServer, nats_server
from odeon_testkit.room import ScriptedRoom, room_server
from odeon_testkit.testcard import TestCard
from odeon_testkit.testcard.stream import CardPublisher
from odeon_transcoder.__main__ import start as transcoder
from odeon_transcoder.settings import TranscoderSettings


class JobLost(DomainError):
    kind = Kind.ABORTED
    reason = "JOB_LOST"


class JobTaken(DomainError):
    kind = Kind.PRECONDITION
    reason = "JOB_TAKEN"


class RoomWithJob(ScriptedRoom):
    """Holds one job, with room's rules of claiming in short."""

    def __init__(self, issuer: Issuer) -> None:
        super().__init__()
        self.issuer = issuer
        self.job = room_pb2.Job(
            name="jobs/job-1",
            kind=room_pb2.Job.KIND_TRANSCODE,
            state=room_pb2.Job.STATE_OFFERED,
            tenant_id="acme",
            event="events/launch",
            profile="default",
            layout=room_pb2.Layout(kind=room_pb2.Layout.KIND_SINGLE),
            slots=1,
        )
        self.outcomes: list[room_pb2.FinishJobRequest] = []
        self.claims = 0

    def _assigned(self) -> room_pb2.Job:
        job = room_pb2.Job()
        job.CopyFrom(self.job)
        for node in self.nodes.values():
            job.node_address = node.grpc_address
        return job

    async def change(self, change: Callable[[room_pb2.Job], None]) -> None:
        change(self.job)
        await self._notify()

    async def ClaimJob(
        self, request: room_pb2.ClaimJobRequest, context: Context
    ) -> room_pb2.ClaimJobResponse:
        taken = self.job.state == room_pb2.Job.STATE_CLAIMED
        if taken and self.job.worker != request.worker:
            raise JobTaken("another worker holds the job")
        self.claims += 1
        self.job.claim += not taken
        self.job.state, self.job.worker = room_pb2.Job.STATE_CLAIMED, request.worker
        job = self._assigned()
        job.join_token = self.issuer.token(
            Audience.STAGE, subject="recorder-job-1", role="recorder", session_id="sid-recorder"
        )
        return room_pb2.ClaimJobResponse(job=job)

    async def RenewJob(
        self, request: room_pb2.RenewJobRequest, context: Context
    ) -> room_pb2.RenewJobResponse:
        if (request.worker, request.claim) != (self.job.worker, self.job.claim):
            raise JobLost("not the present claim")
        return room_pb2.RenewJobResponse(job=self._assigned())

    async def FinishJob(
        self, request: room_pb2.FinishJobRequest, context: Context
    ) -> room_pb2.FinishJobResponse:
        self.outcomes.append(request)
        if request.outcome == room_pb2.FinishJobRequest.OUTCOME_RELEASED:
            self.job.state, self.job.worker = room_pb2.Job.STATE_OFFERED, ""
        await self._notify()
        return room_pb2.FinishJobResponse(job=self.job)

    async def WatchJob(
        self, request: room_pb2.WatchJobRequest, context: Context
    ) -> AsyncIterator[room_pb2.WatchJobResponse]:
        while True:
            yield room_pb2.WatchJobResponse(job=self._assigned())
            async with self.changed:
                await self.changed.wait()


@dataclass
class Deployment:
    """Everything a job needs, and a hand on it."""

    issuer: Issuer
    room: RoomWithJob
    bus: Bus
    nats: NatsServer
    recorder: dict[str, str]
    node: dict[str, str]
    settings: Callable[..., TranscoderSettings]
    stack: AsyncExitStack
    stub: Any = None
    publishers: list[CardPublisher] = field(default_factory=list)

    def metadata(self, service: str = "gateway") -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self.issuer.service_token(service)}")]

    async def start_transcoder(self, **chosen: Any) -> AsyncExitStack:
        inner = AsyncExitStack()
        self.stack.push_async_callback(inner.aclose)
        addresses = await inner.enter_async_context(transcoder(self.settings(**chosen)))
        channel = await inner.enter_async_context(grpc.aio.insecure_channel(addresses["grpc"]))
        self.stub = transcoder_pb2_grpc.TranscoderServiceStub(channel)
        return inner

    async def offer(self) -> None:
        offered = events_pb2.JobOffered(job_id="job-1", event_id="launch", slots=1)
        self.bus.publish(
            subjects.work("transcoder.job.offer", "acme", "job-1"),
            envelope("acme", job_offered=offered),
        )

    async def publish(
        self,
        who: str = "obs",
        *,
        rate: int = 15,
        codec: str = "h264",
        size: tuple[int, int] = (640, 360),
    ) -> CardPublisher:
        """A card over WHIP, straight at the node."""
        publisher = await asyncio.to_thread(
            CardPublisher, TestCard(640, 360, rate, title=who), codec=codec
        )
        token = self.issuer.token(
            Audience.PUBLISH, subject=who, role="publisher", session_id=f"sid-{who}", name=who
        )
        async with grpc.aio.insecure_channel(self.node["grpc"]) as channel:
            stub = signaling_pb2_grpc.SignalingServiceStub(channel)
            answer = await stub.Publish(
                signaling_pb2.PublishRequest(
                    token=token, event="events/launch", sdp_offer=publisher.offer
                ),
                metadata=self.metadata(),
            )
        publisher.start(answer.sdp_answer)
        self.publishers.append(publisher)
        return publisher

    async def kick(self, identity: str) -> None:
        async with grpc.aio.insecure_channel(self.node["grpc"]) as channel:
            stub = signaling_pb2_grpc.SignalingServiceStub(channel)
            await stub.KickParticipant(
                signaling_pb2.KickParticipantRequest(
                    tenant_id="acme", event="events/launch", identity=identity, reason="KICKED"
                ),
                metadata=self.metadata("room"),
            )

    async def drain(self) -> None:
        await self.stub.Drain(transcoder_pb2.DrainRequest(), metadata=self.metadata())

    async def status(self) -> transcoder_pb2.GetStatusResponse:
        response: transcoder_pb2.GetStatusResponse = await self.stub.GetStatus(
            transcoder_pb2.GetStatusRequest(), metadata=self.metadata()
        )
        return response

    async def job(
        self, check: Callable[[transcoder_pb2.RunningJob], bool], *, within_s: float = 20
    ) -> Any:
        """The running job once it passes a check."""
        job: Any = None
        async with asyncio.timeout(within_s):
            while True:
                try:
                    jobs = (await self.status()).jobs
                except grpc.aio.AioRpcError as error:
                    # A transcoder that just started has not heard of any key yet.
                    assert error.code() is grpc.StatusCode.UNAUTHENTICATED
                    jobs = None
                job = jobs[0] if jobs else None
                if job is not None and check(job):
                    return job
                await asyncio.sleep(0.05)

    async def timeline(self) -> recorder_pb2.Timeline:
        async with grpc.aio.insecure_channel(self.recorder["grpc"]) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            response = await stub.GetTimeline(
                recorder_pb2.GetTimelineRequest(name="timelines/launch"),
                metadata=[("authorization", f"Bearer {self.issuer.api_token()}")],
            )
        timeline: recorder_pb2.Timeline = response.timeline
        return timeline

    async def end_timeline(self) -> recorder_pb2.Timeline:
        """What room does once the job is finished."""
        async with grpc.aio.insecure_channel(self.recorder["grpc"]) as channel:
            stub = recorder_pb2_grpc.RecorderServiceStub(channel)
            response = await stub.EndTimeline(
                recorder_pb2.EndTimelineRequest(tenant_id="acme", event="events/launch"),
                metadata=self.metadata("room"),
            )
        timeline: recorder_pb2.Timeline = response.timeline
        return timeline

    async def parts(self, track: str, count: int, *, within_s: float = 30) -> None:
        """Wait until a track has this many parts."""
        async with asyncio.timeout(within_s):
            while True:
                try:
                    found = {t.spec.track: t.parts for t in (await self.timeline()).tracks}
                except grpc.aio.AioRpcError:
                    found = {}
                if found.get(track, 0) >= count:
                    return
                await asyncio.sleep(0.05)

    async def get(self, path: str) -> bytes:
        async with httpx.AsyncClient(base_url=f"http://{self.recorder['http']}") as http:
            response = await http.get(f"/acme/launch/{path}")
            response.raise_for_status()
            return response.content


@asynccontextmanager
async def _deployed(folder: Path) -> AsyncIterator[Deployment]:
    issuer = Issuer()
    room = RoomWithJob(issuer)  # type: ignore[abstract]
    async with AsyncExitStack() as stack:
        nats = stack.enter_context(nats_server())
        auth, _ = await stack.enter_async_context(auth_server(issuer))
        room_address, _ = await stack.enter_async_context(room_server(issuer, room))
        common: dict[str, Any] = {
            "nats_url": nats.url,
            "auth_address": auth,
            "service_secret": SERVICE_SECRET,
            "room_address": room_address,
        }
        taker = await stack.enter_async_context(
            recorder(RecorderSettings(data_dir=folder / "recorder", **common))
        )
        node = await stack.enter_async_context(
            signaling(SignalingSettings(node="n1", heartbeat_s=0.2, **common))
        )
        bus = await stack.enter_async_context(Bus(nats.url, name="test"))
        await bus.ensure_streams()

        def settings(**chosen: Any) -> TranscoderSettings:
            given: dict[str, Any] = {
                "worker": "tr-1",
                "data_dir": folder,
                "recorder_address": taker["grpc"],
                "recorder_http": f"http://{taker['http']}",
                "probe": False,
                "preset": "ultrafast",
                **common,
                **chosen,
            }
            return TranscoderSettings(**given)

        deployment = Deployment(
            issuer, room, bus, nats, taker, dict(node), settings,
            await stack.enter_async_context(AsyncExitStack()),
        )  # fmt: skip
        yield deployment
        for publisher in deployment.publishers:
            await asyncio.to_thread(publisher.close)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    for name in [n for n in os.environ if n.startswith("ODEON_")]:
        os.environ.pop(name)
    async with _deployed(tmp_path) as made:
        yield made
