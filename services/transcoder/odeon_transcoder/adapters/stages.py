"""A hidden seat on a stage over signaling's gRPC."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager

from odeon.signaling.v1 import signaling_pb2, signaling_pb2_grpc, stage_pb2

from odeon_transcoder import messages
from odeon_transcoder.adapters.answers import asking, reason_of
from odeon_transcoder.ports import StageClosed, StageConnection, Unreachable

_QUEUE = 256
_SOURCES = {
    stage_pb2.TRACK_SOURCE_CAMERA: "camera",
    stage_pb2.TRACK_SOURCE_MICROPHONE: "microphone",
    stage_pb2.TRACK_SOURCE_SCREEN: "screen",
    stage_pb2.TRACK_SOURCE_SCREEN_AUDIO: "screen-audio",
}
_SPEAKING_LEVEL = 70
"""Of 127: about -57 dBov, above which somebody speaks."""

Dial = Callable[[str], "signaling_pb2_grpc.SignalingServiceStub"]


class GrpcStages:
    """Implements `ports.Stages`."""

    def __init__(self, dial: Dial) -> None:
        self._dial = dial

    @asynccontextmanager
    async def open(self, node: str, join_token: str) -> AsyncIterator[StageConnection]:
        """Join as a hidden participant that gets everything, exempt from bandwidth estimation."""
        seat = _Seat()
        join = stage_pb2.StageJoin(token=join_token, auto_subscribe=True, pinned=True)
        seat.say(stage_pb2.StageClientMessage(join=join))
        call = self._dial(node).Stage(seat.requests())
        seat.attach(call)
        try:
            yield seat
        finally:
            seat.close()
            call.cancel()


class _Seat:
    """One stage connection; keeps what the stage looks like, because messages say only changes."""

    def __init__(self) -> None:
        self._outgoing: asyncio.Queue[stage_pb2.StageClientMessage | None] = asyncio.Queue(_QUEUE)
        self._responses: AsyncIterable[signaling_pb2.StageResponse] | None = None
        self._names: dict[str, str] = {}
        self._tracks: dict[str, stage_pb2.StageTrack] = {}

    def attach(self, responses: AsyncIterable[signaling_pb2.StageResponse]) -> None:
        self._responses = responses

    async def requests(self) -> AsyncIterator[signaling_pb2.StageRequest]:
        while (message := await self._outgoing.get()) is not None:
            yield signaling_pb2.StageRequest(message=message)

    def say(self, message: stage_pb2.StageClientMessage) -> None:
        try:
            self._outgoing.put_nowait(message)
        except asyncio.QueueFull:
            raise Unreachable("the node does not read") from None

    def close(self) -> None:
        """Leave and end the request stream."""
        for last in (stage_pb2.StageClientMessage(leave=stage_pb2.StageLeave()), None):
            if not self._outgoing.full():
                self._outgoing.put_nowait(last)

    def answer(self, answer: messages.Answer) -> None:
        """Answer an offer."""
        description = stage_pb2.SessionDescription(sdp=answer.sdp, revision=answer.revision)
        self.say(stage_pb2.StageClientMessage(subscribe_answer=description))

    def want_layer(self, want: messages.WantLayer) -> None:
        """Ask for a simulcast layer."""
        wish = stage_pb2.StageSubscribe(track_id=want.track_id, max_layer=want.layer)
        self.say(stage_pb2.StageClientMessage(subscribe=wish))

    async def commands(self) -> AsyncIterator[messages.Command]:
        """What the job process should know."""
        assert self._responses is not None
        with asking(lambda error: StageClosed(reason_of(error))):
            async for response in self._responses:
                command = self._taken(response.message)
                if command is not None:
                    yield command
        raise StageClosed("CLOSED")

    def _taken(self, message: stage_pb2.StageServerMessage) -> messages.Command | None:
        match message.WhichOneof("message"):
            case "joined":
                return self._joined(message.joined)
            case "subscribe_offer":
                offer = message.subscribe_offer
                return messages.Offer(offer.sdp, offer.revision)
            case "participant_updated":
                self._name(message.participant_updated)
                return self._all_tracks()
            case "track_published":
                self._tracks[message.track_published.track_id] = message.track_published
                return self._all_tracks()
            case "track_removed":
                self._tracks.pop(message.track_removed.track_id, None)
                return self._all_tracks()
            case "speakers":
                return _speaker(message.speakers)
            case "closed":
                raise StageClosed(message.closed.reason)
            case "error" if message.error.fatal:
                raise StageClosed(message.error.reason)
            case _:
                return None

    def _joined(self, joined: stage_pb2.StageJoined) -> messages.Command:
        for participant in joined.participants:
            self._name(participant)
        self._tracks = {track.track_id: track for track in joined.tracks}
        return self._all_tracks()

    def _name(self, participant: stage_pb2.StageParticipant) -> None:
        self._names[participant.identity] = participant.display_name or participant.identity

    def _all_tracks(self) -> messages.Tracks:
        return messages.Tracks(tuple(self._track(track) for track in self._tracks.values()))

    def _track(self, track: stage_pb2.StageTrack) -> messages.StageTrack:
        video = track.kind == stage_pb2.TRACK_KIND_VIDEO
        return messages.StageTrack(
            track_id=track.track_id,
            identity=track.identity,
            name=self._names.get(track.identity, track.identity),
            kind="video" if video else "audio",
            source=_SOURCES.get(track.source, "camera" if video else "microphone"),
            codec=track.codec.lower(),
            muted=track.muted,
            mid=track.mid,
            layers=tuple(track.layers),
        )


def _speaker(speakers: stage_pb2.StageSpeakers) -> messages.Speaker:
    loudest = max(speakers.speakers, key=lambda speaker: speaker.level, default=None)
    speaks = loudest is not None and loudest.level >= _SPEAKING_LEVEL
    return messages.Speaker(loudest.identity if loudest is not None and speaks else "")
