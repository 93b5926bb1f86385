"""The owner of a timeline, as a test plays it: acquires, PUTs parts, ends.

Speaks the contract of the recorder (gRPC and PUT /ingest/…) with synthetic or given bytes.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from odeon.recorder.v1 import recorder_pb2, recorder_pb2_grpc

PARTS_PER_SEGMENT = 6
VIDEO_PART_S = 1 / 3
AUDIO_PART_S = 16 * 1024 / 48_000


def video(track: str = "v720", *, height: int = 720, bandwidth: int = 3_000_000) -> Any:
    """A video track of the default ladder."""
    return recorder_pb2.TrackSpec(
        track=track,
        kind=recorder_pb2.TrackSpec.KIND_VIDEO,
        codec="avc1.64001f",
        bandwidth_bps=bandwidth,
        width_px=height * 16 // 9,
        height_px=height,
        frame_rate=30,
        part_target_s=0.334,
        segment_target_s=2,
    )


def audio(track: str = "a128") -> Any:
    """The audio track of the default ladder."""
    return recorder_pb2.TrackSpec(
        track=track,
        kind=recorder_pb2.TrackSpec.KIND_AUDIO,
        codec="mp4a.40.2",
        bandwidth_bps=128_000,
        part_target_s=0.342,
        segment_target_s=2,
    )


def synthetic(track: str, epoch: int, msn: int, part: int, *, size: int = 1000) -> bytes:
    """Bytes that name their place, so that mixed-up media shows."""
    label = f"{track}/{epoch}/{msn}/{part};".encode()
    return (label * (size // len(label) + 1))[:size]


@dataclass
class Owner:
    """One owner of one timeline.

    Attributes:
        http: base URL of the recorder's private HTTP port.
        stub: its gRPC service.
        token: a service token.
    """

    http: httpx.AsyncClient
    stub: recorder_pb2_grpc.RecorderServiceStub
    token: str
    tenant: str = "acme"
    event: str = "launch"
    name: str = "worker-1"
    epoch: int = 0
    next_msn: int = 0
    next_event_time_s: float = 0.0
    tracks: list[Any] = field(default_factory=list)
    stored: dict[tuple[str, int, int], bytes] = field(default_factory=dict)

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.token}"),)

    async def acquire(self, tracks: Sequence[Any], *, init: bool = True) -> None:
        """Acquire the timeline, without `tracks` with the last ones, and send the init sections."""
        response = await self.stub.AcquireTimeline(
            recorder_pb2.AcquireTimelineRequest(
                tenant_id=self.tenant, event=f"events/{self.event}", owner=self.name, tracks=tracks
            ),
            metadata=self._metadata,
        )
        self.epoch, self.next_msn = response.epoch, response.next_msn
        self.next_event_time_s = response.next_event_time.ToNanoseconds() / 1e9
        self.tracks = list(response.tracks)
        for spec in self.tracks if init else ():
            answer = await self.put_init(spec.track)
            assert answer.status_code in (200, 201), answer.text

    async def heartbeat(self) -> None:
        """Say that the owner lives."""
        await self.stub.Heartbeat(
            recorder_pb2.HeartbeatRequest(
                tenant_id=self.tenant,
                event=f"events/{self.event}",
                owner=self.name,
                epoch=self.epoch,
            ),
            metadata=self._metadata,
        )

    async def end(self, *, epoch: int | None = None) -> Any:
        """End the timeline."""
        response = await self.stub.EndTimeline(
            recorder_pb2.EndTimelineRequest(
                tenant_id=self.tenant,
                event=f"events/{self.event}",
                epoch=self.epoch if epoch is None else epoch,
            ),
            metadata=self._metadata,
        )
        return response.timeline

    async def put_init(self, track: str, data: bytes | None = None) -> httpx.Response:
        """PUT an init section."""
        body = data if data is not None else f"init {track} {self.epoch}".encode()
        return await self.http.put(
            f"/ingest/{self.tenant}/{self.event}/{track}/init",
            content=body,
            headers=self._headers(body),
        )

    async def put(
        self,
        track: str,
        msn: int,
        part: int,
        *,
        data: bytes | None = None,
        duration_s: float = VIDEO_PART_S,
        last: bool = False,
        independent: bool | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """PUT a part; remembers what was acknowledged in `stored`."""
        body = synthetic(track, self.epoch, msn, part) if data is None else data
        independent = part == 0 if independent is None else independent
        answer = await self.http.put(
            f"/ingest/{self.tenant}/{self.event}/{track}/{msn}/{part}",
            content=body,
            headers={
                **self._headers(body),
                "Odeon-Duration": f"{duration_s:.9f}",
                "Odeon-Independent": f"?{independent:d}",
                "Odeon-Last": f"?{last:d}",
                **(headers or {}),
            },
        )
        if answer.status_code in (200, 201):
            self.stored[(track, msn, part)] = body
        return answer

    async def put_segment(self, track: str, msn: int, *, parts: int = PARTS_PER_SEGMENT) -> None:
        """PUT a whole segment of synthetic parts."""
        for part in range(parts):
            answer = await self.put(track, msn, part, last=part == parts - 1)
            assert answer.status_code == 201, answer.text

    def _headers(self, body: bytes) -> dict[str, str]:
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        return {
            "Authorization": f"Bearer {self.token}",
            "Odeon-Epoch": str(self.epoch),
            "Content-Digest": f"sha-256=:{digest}:",
        }
